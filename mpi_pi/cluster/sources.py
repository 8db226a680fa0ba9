"""The files of the project, as they are distributed."""

import shutil
import sys
from pathlib import Path

from mpi_pi.cluster.pip import WheelsUnavailable
from mpi_pi.system import command

LIMIT_SECONDS = 120

BUILD = """
import os, sys
from setuptools import build_meta
os.chdir(sys.argv[1])
build_meta.build_sdist(sys.argv[2])
"""

KEPT_OUT = (".git", ".venv*", "build", "dist", "wheels", "*.egg-info", "*.tar")


def unpacked(project: Path, setuptools: Path, place: Path) -> Path:
    """Return a folder, made in `place`, with the files of the project's sdist.

    `setuptools` is its wheel. Raises WheelsUnavailable.
    """
    shutil.unpack_archive(setuptools, place / "setuptools", "zip")
    # setuptools would leave files between the sources, and distribute again what earlier builds have left.
    links = place / "links"
    links.mkdir()
    for entry in project.iterdir():
        if not any(entry.match(pattern) for pattern in KEPT_OUT):
            (links / entry.name).symlink_to(entry)
    build = [sys.executable, "-c", BUILD, str(links), str(place)]
    try:
        done = command.run(build, LIMIT_SECONDS, False, {"PYTHONPATH": str(place / "setuptools")})
    except command.CommandError as error:
        raise WheelsUnavailable(f"setuptools was not done after {LIMIT_SECONDS} s") from error
    if done.returncode:
        why = command.telling_line(done.stderr)
        raise WheelsUnavailable(f"setuptools could not collect the sources: {why}")
    (sdist,) = place.glob("*.tar.gz")
    shutil.unpack_archive(sdist, place / "sdist")
    (folder,) = (place / "sdist").iterdir()
    return folder
