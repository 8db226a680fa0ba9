"""Summary of what the machine lacks, and the list of packages."""

import re
import shutil

import pytest

from support import lacks
from support.cluster import PROGRAMS, SLURM_PROGRAMS
from support.launching import Launch


def test_summary_tells_what_is_lacking_and_how_to_get_it() -> None:
    reasons = [
        f"Skipped: {lacks.reason(['sbatch', 'munged'])}",
        f"Failed: {lacks.reason(['/usr/sbin/sshd', lacks.ROOT_USER])}",
        f"Skipped: {lacks.reason(['sbatch'])}",
        "long; make soak runs it",
    ]
    skipped = [names for reason in reasons if (names := lacks.lacking(reason))]
    assert skipped == [["sbatch", "munged"], ["/usr/sbin/sshd", "root"], ["sbatch"]]
    assert lacks.summary(skipped, 10) == (
        "3 of 10 tests were skipped for want of slurm-client (2), munge (1), openssh-server (1), root (1)."
        " To run them: sudo apt-get install munge openssh-server slurm-client, and run make test as root"
    )
    assert lacks.summary([], 10) == ""
    assert lacks.summary([["jq"], ["reframe"]], 10).endswith(
        "want of jq (1), reframe-hpc (1). To run them: sudo apt-get install jq, and pipx install reframe-hpc"
    )


def test_packages_contain_the_programs_that_tests_look_for(launch: Launch) -> None:
    """The packages that are installed are asked for their files."""
    if shutil.which("dpkg") is None:
        pytest.skip("this is no Debian")
    for package, wanted in lacks.packages().items():
        files = launch(0, "dpkg", "--listfiles", package)
        if files.returncode == 0:
            for name in wanted:
                pattern = name.replace("*", "[^/]*") if "/" in name else f".*/{name}"
                here = any(re.fullmatch(pattern, file) for file in files.stdout.splitlines())
                assert here or lacks.missing([name]) == [], (package, name)


def test_programs_that_tests_look_for_are_in_the_list_of_packages() -> None:
    wanted = {name for names in lacks.packages().values() for name in names}
    assert {*PROGRAMS, *SLURM_PROGRAMS} <= wanted
    assert {"chromium", "shellcheck", "git", "nft", "tc"} <= wanted
    for look in (lacks.missing, lambda names: lacks.require(*names)):
        with pytest.raises(LookupError, match=r"add to packages\.txt: nonesuch$"):
            look(["nft", "nonesuch"])
