"""Programs and rights that a machine lacks for some tests, and the packages that have them."""

import functools
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import pytest

from support.launching import TESTS

ROOT_USER, NAMESPACES = "root", "the right to make namespaces"
PREFIX = "lacking: "
_SEPARATOR = "; "


def packages(file: str = "packages.txt") -> dict[str, list[str]]:
    """Return names of programs, or patterns of files, that tests look for, by package.

    In packages.txt are packages of Debian, in tools.txt those of PyPI.
    """
    lines = (TESTS / file).read_text().splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return {package: wanted for package, *wanted in words}


def missing(wanted: Iterable[str]) -> list[str]:
    """Return those programs, or patterns of files, that are not on this machine.

    Raises LookupError for one that no list has: the summary could not tell how to get it.
    """
    wanted = list(wanted)
    if unknown := set(wanted).difference(*packages().values(), *packages("tools.txt").values()):
        raise LookupError(f"add to packages.txt: {', '.join(sorted(unknown))}")
    return [name for name in wanted if not _there(name)]


def _there(name: str) -> bool:
    if name.startswith("/"):
        return any(file.exists() for file in Path("/").glob(name[1:]))
    return shutil.which(name) is not None


@functools.cache
def missing_rights() -> list[str]:
    """Return the rights that namespaces need and this process lacks; containers often have none."""
    if os.geteuid() != 0:
        return [ROOT_USER]
    flags = ["--net", "--uts", "--ipc", "--pid", "--mount", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None:
        return []
    tried = subprocess.run(["unshare", *flags, "true"], check=False, capture_output=True, timeout=30)
    return [NAMESPACES] if tried.returncode else []


def reason(lacking: Iterable[str]) -> str:
    """Return the reason for a skipped test, as `lacking` reads it."""
    return PREFIX + _SEPARATOR.join(lacking)


def lacking(why: str) -> list[str] | None:
    """Return what is lacking, from a reason as pytest reports it; None for any other reason."""
    _, found, names = why.partition(PREFIX)
    return names.split(_SEPARATOR) if found else None


def summary(skipped: Iterable[Iterable[str]], tests: int) -> str:
    """Return a line about the skipped tests, each given by what it lacks; "" if there are none."""
    tools = packages("tools.txt")
    homes = {name: package for package, wanted in (packages() | tools).items() for name in wanted}
    needs = [{homes.get(name, name) for name in names} for names in skipped]
    if not needs:
        return ""
    counts = Counter(need for one in needs for need in one)
    most_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    wants = ", ".join(f"{need} ({count})" for need, count in most_first)
    install = sorted(set(counts) & set(homes.values()))
    debian, pypi = ([name for name in install if (name in tools) == is_tool] for is_tool in (False, True))
    how = [f"sudo apt-get install {' '.join(debian)}"] if debian else []
    how += [f"pipx install {name}" for name in pypi]
    how += ["run make test as root"] if ROOT_USER in counts else []
    remedy = f". To run them: {', and '.join(how)}" if how else ""
    return f"{len(needs)} of {tests} tests were skipped for want of {wants}{remedy}"


def lack(*what: str) -> NoReturn:
    """Skip a test that lacks something; in CI, which has everything, fail it: it would be a silent gap.

    Programs and files are named as in packages.txt and tools.txt.
    """
    why = reason(what)
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def require(*programs: str) -> None:
    """Skip a test, or in CI fail it, that lacks one of these programs, named as in the lists."""
    if lacking := missing(programs):
        lack(*lacking)
