"""The kernel compiled for a Raspberry Pi 4: its machine code, and its hits in an emulator."""

import contextlib
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mpi_pi.cluster import pip, wheels
from mpi_pi.cluster.platforms import Platform
from mpi_pi.kernel import elf, known_answers, reference
from mpi_pi.kernel.seed_pool import seed_pool
from mpi_pi.model.job import BLOCK, Job
from support.arm import CPU, FEATURES
from support.lacks import lack
from support.launching import ROOT, SETTINGS, TESTS, soak


@pytest.fixture(scope="module")
def for_a_pi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what `compile_for_a_pi` leaves."""
    folder = tmp_path_factory.mktemp("arm")
    program = "import sys, pathlib; from support import arm; arm.compile_for_a_pi(pathlib.Path(sys.argv[1]))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    subprocess.run(
        [sys.executable, "-c", program, str(folder)], cwd=TESTS, env=environment, check=True, timeout=120
    )
    return folder


class Instruction(NamedTuple):
    mnemonic: str
    operands: str

    @property
    def is_neon(self) -> bool:
        return re.search(r"\bv\d+\.", self.operands) is not None

    def __str__(self) -> str:
        return f"{self.mnemonic} {self.operands}"


def instructions(assembly: str) -> tuple[list[Instruction], dict[str, int]]:
    """Return the instructions in LLVM's text, and the place of each label among them."""
    found: list[Instruction] = []
    labels = {}
    for line in assembly.splitlines():
        if label := re.match(r"(\S+):", line):
            labels[label[1]] = len(found)
        elif instruction := re.match(r"\t([a-z][\w.]*)(?:\t([^/]*))?", line):
            found.append(Instruction(instruction[1], (instruction[2] or "").strip()))
    return found, labels


def innermost_loops(assembly: str) -> list[list[Instruction]]:
    """Return the loops without an inner loop, each from a label to the conditional branch back to it."""
    listing, labels = instructions(assembly)
    loops = []
    for end, (mnemonic, operands) in enumerate(listing):
        start = labels.get(operands.split(" ")[-1], end + 1)
        if mnemonic.startswith(("b.", "cb", "tb")) and start <= end:
            loops.append(range(start, end + 1))
    return [
        listing[loop.start : loop.stop]
        for loop in loops
        if not any(other != loop and other[0] in loop and other[-1] in loop for other in loops)
    ]


def test_points_are_counted_in_neon_registers(for_a_pi: Path) -> None:
    """The two loops over steps, of whole blocks and of last ones, have the shift of xoshiro256 in them."""
    loops = innermost_loops((for_a_pi / "kernel.s").read_text())
    steps = [loop for loop in loops if any(re.fullmatch(r"shl v\d+\.2d, .*, #17", str(i)) for i in loop)]
    assert len(steps) == 2
    for loop in steps:
        text = "\n".join(map(str, loop))
        four_distances = len(re.findall(r"^addp v\d+\.4s", text, re.MULTILINE))
        assert four_distances == 4  # registers of two lanes of two points
        assert len(loop) / (4 * four_distances) < 6, "instructions for a point"
        for expected in (r"add v\d+\.2d", r"eor v\d+\.16b", r"smull2? v\d+\.4s, .*h, .*h", r"umin v\d+\.4s"):
            assert len(re.findall(f"^{expected}", text, re.MULTILINE)) >= 3
        # What else there is: is any of them in doubt, and is there another step? Nothing spills.
        others = [i.mnemonic for i in loop if not i.is_neon]
        assert len(others) <= 6, text
        assert not [name for name in others if name.startswith(("ld", "st", "bl"))], text


def test_nothing_is_called_but_memset(for_a_pi: Path) -> None:
    listing, labels = instructions((for_a_pi / "kernel.s").read_text())
    calls = {i.operands for i in listing if i.mnemonic in ("bl", "blr")}
    assert (for_a_pi / "name").read_text() in labels
    assert calls - set(labels) <= {"memset"}


def tool(*names: str) -> str:
    """Return the first of these programs that is installed; CI has one of them."""
    place = next(filter(None, map(shutil.which, names)), None)
    if place is None:
        lack(names[0])
    return place


def test_hits_on_arm_are_the_references(for_a_pi: Path) -> None:
    """The machine code itself runs in a program of its own, on an emulated Cortex-A72."""
    qemu = tool("qemu-aarch64", "qemu-aarch64-static")
    assembler, linker = tool("aarch64-linux-gnu-as"), tool("aarch64-linux-gnu-ld")
    name = (for_a_pi / "name").read_text()
    for command in (
        [assembler, "-o", "main.o", str(TESTS / "support" / "count_arm64.s")],
        [linker, "-o", "count", f"--defsym=kernel={name}", "main.o", "kernel.o"],
    ):
        subprocess.run(command, cwd=for_a_pi, check=True, timeout=60)

    some = random.Random(4)
    work = [(job, units) for job, units, _ in known_answers.HITS_OF_UNITS]
    work.append((Job(trials=3, points=2 * BLOCK + 5000, seed=7), range(5, 6)))  # the last block of a trial
    for bits in (1, 32, 33, 64, 300):
        job = Job(trials=1 << 64, points=some.randrange(1, 30_000), seed=some.getrandbits(bits))
        first = some.getrandbits(min(bits, 63))
        work.append((job, range(first, first + 20)))

    run = subprocess.run(
        [qemu, "-cpu", CPU, str(for_a_pi / "count")],
        input=b"".join(arguments(job, units) for job, units in work),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    hits = [count for (count,) in struct.iter_unpack("<q", run.stdout)]
    known = [count for *_, counts in known_answers.HITS_OF_UNITS for count in counts]
    assert hits[: len(known)] == known
    assert hits == [count for job, units in work for count in reference.count(job, units).tolist()]


def arguments(job: Job, units: range) -> bytes:
    """Return the input of count_arm64.s; the job's streams have at most 4096 `units` at a time."""
    words, constant = seed_pool(job.seed)
    trial, block = job.trial_and_block(units.start)
    return struct.pack(
        "<4I6Q", *words.tolist(), constant, trial, block, job.blocks, job.last_block, len(units)
    )


DEBIAN = Platform(python="3.11.2", machine="aarch64", glibc="2.36")
"""Debian 12, on which Raspberry Pi OS is built."""


@pytest.fixture(scope="module")
def debian() -> Iterator[Path]:
    """Return the root of a Debian for ARM, with the environment /venv in it; it is made once, and kept."""
    qemu = tool("qemu-aarch64-static")
    tool("debootstrap")
    if os.geteuid() != 0:
        pytest.skip("a Debian to change the root to needs root")
    project = wheels.project(ROOT)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mpi-pi"
    kept = cache / f"arm64-debian-{project.digest(DEBIAN)}"
    with programs_for_arm(qemu):
        if not kept.exists():
            for old in cache.glob("arm64-debian-*"):
                shutil.rmtree(old)
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                make_debian(Path(folder) / "root", project)
                (Path(folder) / "root").rename(kept)
        shutil.copytree(ROOT / "mpi_pi", kept / "project" / "mpi_pi", dirs_exist_ok=True)
        yield kept


@contextlib.contextmanager
def programs_for_arm(qemu: str) -> Iterator[None]:
    """Have the system start programs for ARM with qemu, in whatever root."""
    formats = Path("/proc/sys/fs/binfmt_misc")
    mounted = (formats / "register").exists()
    if not mounted:
        subprocess.run(["mount", "-t", "binfmt_misc", "none", str(formats)], check=True, timeout=30)
    name = f"mpi-pi-{os.getpid()}"
    # An ELF file of 64 bits, little-endian, for any system, executable or shared, for this architecture.
    magic = r"\x7fELF\x02\x01\x01\x00" + r"\x00" * 8 + r"\x02\x00\xb7\x00"
    mask = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe" + r"\xff" * 3
    (formats / "register").write_text(f":{name}:M::{magic}:{mask}:{qemu}:F")
    try:
        yield
    finally:
        (formats / name).write_text("-1")
        if not mounted:
            subprocess.run(["umount", str(formats)], check=True, timeout=30)


def make_debian(root: Path, project: wheels.Project) -> None:
    """Unpack a small Debian, which works without being configured, and install what the project requires."""
    release = ["--arch=arm64", "--foreign", "--variant=minbase", "--include=python3", "bookworm"]
    subprocess.run(["debootstrap", *release, str(root)], stdout=subprocess.DEVNULL, check=True, timeout=900)
    for package in (root / "var/cache/apt/archives").glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", str(package), str(root)], check=True, timeout=60)
    (root / "wheels").mkdir()
    pip.download(project.requirements, project.pinned, DEBIAN, root / "wheels")
    (wheel,) = (root / "wheels").glob("pip-*.whl")
    install = [
        "/venv/bin/python",
        f"/wheels/{wheel.name}/pip",
        "install",
        "--no-index",
        "--find-links=/wheels",
    ]
    inside(root, "python3", "-m", "venv", "--without-pip", "/venv", timeout=300)
    inside(root, *install, "--quiet", "--no-compile", *project.requirements, timeout=1800)


def inside(root: Path, *command: str, timeout: int, **variables: str) -> str:
    """Return the output of a command with another root."""
    mount = (
        'mount -t proc proc "$0/proc"; mount --rbind /sys "$0/sys"; mkdir -p "$0/dev/shm";'
        'mount -t tmpfs tmpfs "$0/dev/shm"; exec chroot "$0" "$@"'
    )
    run = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", mount, str(root), *command],
        env=SETTINGS
        | {"PATH": "/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "PYTHONPATH": "/project"}
        | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@soak
@pytest.mark.timeout(3600)
def test_pi_compiles_the_same_code(debian: Path, for_a_pi: Path) -> None:
    """The code is the same byte for byte, so the other tests look at what runs on a Raspberry Pi."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("numba starts from Python's bytecode, and Debian's is that of 3.11")
    program = (
        "from mpi_pi.kernel import count as kernel;open('/tmp/kernel.o', 'wb').write(kernel.object_code()[0])"
    )
    settings = {"QEMU_CPU": CPU, "NUMBA_CPU_NAME": CPU, "NUMBA_CPU_FEATURES": FEATURES}
    inside(debian, "python", "-c", program, timeout=600, **settings)
    assert (debian / "tmp/kernel.o").read_bytes() == (for_a_pi / "kernel.o").read_bytes()


@soak
@pytest.mark.timeout(3600)
def test_job_on_emulated_arm_has_the_hits_of_the_reference(debian: Path) -> None:
    job = Job(trials=300, points=10_000, seed=42)
    hits = reference.count(job, range(job.units)).sum()
    for ranks in (1, 2):
        out = inside(
            debian,
            *["mpirun", "-n", str(ranks), "python", "-m", "mpi_pi", "run"],
            *["-n", "300", "-i", "10k", "--seed", "42", "--kernel", "numba"],
            timeout=600,
        )
        assert f"pi = 4*({hits}/3000000)" in out
        assert "Verification = SUCCESSFUL" in out


def test_pi_links_as_gnu_ld_does(for_a_pi: Path, tmp_path: Path) -> None:
    """The linked code is the same to the last byte as GNU ld's with its sections at the same places."""
    gnu_ld, objcopy = tool("aarch64-linux-gnu-ld"), tool("aarch64-linux-gnu-objcopy")
    code = (for_a_pi / "kernel.o").read_bytes()
    program, base = elf.ObjectFile(code), 0x7F12_3456_7000
    told = subprocess.run(
        [tool("aarch64-linux-gnu-readelf"), "-SW", for_a_pi / "kernel.o"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # Sections that are loaded, in the order of the file, each at the next place that is aligned for it.
    sections = re.findall(r"\] (\S+) +PROGBITS +\S+ \S+ \S+ \S+ +\S*A\S* .* (\d+)\n", told)
    layout = "".join(f"{name} : ALIGN({alignment}) {{ *({name}) }}\n" for name, alignment in sections)
    (tmp_path / "layout").write_text(f"SECTIONS {{ . = {base}; {layout} /DISCARD/ : {{ *(COMMON) }} }}")
    linked, flat = tmp_path / "linked", tmp_path / "flat"
    subprocess.run([gnu_ld, "-T", tmp_path / "layout", "-o", linked, for_a_pi / "kernel.o"], check=True)
    subprocess.run([objcopy, "-O", "binary", linked, flat], check=True)
    assert program.link(base) == flat.read_bytes()
    assert (for_a_pi / "name").read_text() in program.functions
