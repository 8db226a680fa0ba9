"""Wheels made from the packages installed in this environment, where they cannot be downloaded.

The format is PyPA's "Binary distribution format". Such a wheel fits the same platforms as the installed one.
"""

import base64
import hashlib
import importlib.metadata
import os
import re
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from pathlib import Path

_MADE_BY_PIP = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}


def pack(name: str, folder: Path) -> Path:
    """Make a wheel of an installed distribution in `folder`, and return its path.

    Raises LookupError unless pip installed the distribution from a wheel.
    """
    found = _distribution(name)
    about, files = found.read_text("WHEEL"), found.files
    if about is None or files is None:
        raise LookupError(f"{name} was not installed from a wheel")
    title = _title(found)
    scripts = {entry.name for entry in found.entry_points if entry.group.endswith("_scripts")}
    content: dict[str, Path | str] = {}
    for file in files:
        made_by_pip = file.name in _MADE_BY_PIP and file.parent.name.endswith(".dist-info")
        if made_by_pip or file.suffix == ".pyc" or (".." in file.parts and file.name in scripts):
            continue
        place = Path(os.path.normpath(str(file.locate())))
        if ".." not in file.parts:
            content[str(file)] = place
        elif place.is_relative_to(sys.prefix):
            content[f"{title}.data/data/{place.relative_to(sys.prefix)}"] = place
    return _write(folder / f"{title}-{_tags(about)}.whl", f"{title}.dist-info", content)


def pack_package(name: str, package: Path, folder: Path) -> Path:
    """Make a wheel of the present source of a pure Python package, with the metadata of its installation.

    Raises LookupError if it is not installed.
    """
    found = _distribution(name)
    title = _title(found)
    content: dict[str, Path | str] = {
        f"{package.name}/{file.relative_to(package)}": file
        for file in sorted(package.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }
    about = f"{title}.dist-info"
    for file_name in ("METADATA", "WHEEL", "entry_points.txt"):
        content[f"{about}/{file_name}"] = found.read_text(file_name) or ""
    return _write(folder / f"{title}-py3-none-any.whl", about, content)


def _distribution(name: str) -> importlib.metadata.Distribution:
    """Return a distribution that is installed in this environment itself. Raises LookupError."""
    places = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    found = next(iter(importlib.metadata.distributions(name=name, path=places)), None)
    if found is None or found.read_text("METADATA") is None:
        raise LookupError(f"{name} is not installed in {sys.prefix}")
    return found


def _title(found: importlib.metadata.Distribution) -> str:
    """Return name and version, with which the file name of a wheel begins."""
    return f"{re.sub(r'[-_.]+', '_', found.metadata['Name'])}-{found.version}"


def _tags(about: str) -> str:
    """Return the tags in a file WHEEL as the file name of a wheel has them: Python, ABI and platform."""
    tags = [tag.split("-") for tag in re.findall(r"^Tag:\s*(\S+)", about, re.MULTILINE)]
    return "-".join(".".join(dict.fromkeys(part)) for part in zip(*tags, strict=True))


def _write(wheel: Path, about: str, content: Mapping[str, Path | str]) -> Path:
    record = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, source in content.items():
            if isinstance(source, Path):
                entry = zipfile.ZipInfo.from_file(source, name)  # with its permissions
                entry.compress_type, data = zipfile.ZIP_DEFLATED, source.read_bytes()
            else:
                entry, data = zipfile.ZipInfo(name), source.encode()
            archive.writestr(entry, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            record.append(f'"{name}",sha256={digest},{len(data)}\n')
        archive.writestr(f"{about}/RECORD", "".join([*record, f"{about}/RECORD,,\n"]))
    return wheel
