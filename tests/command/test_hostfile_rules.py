"""Hostfiles, which are accepted or refused as by the real mpirun."""

import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mpi_pi.cluster import hostfile
from mpi_pi.cluster.agent.environment import launcher as launcher_at
from mpi_pi.cluster.hostfile import HostfileError
from support.launching import MPI_PI, MPIRUN, ROOT, is_hydra, soak
from support.mpis import Mpi
from support.texts import without_make

FILES = [
    *("localhost", "localhost slots=2", "localhost:2", "127.0.0.1:2", "localhost slots = 2 # a comment"),
    *(
        "localhost\r",
        "localhost slots=2\r",
        "localhost:2\r",
        "localhost slots=2 # Windows\r",
        "# Windows\r\nlocalhost",
    ),
    *(
        "localhost slots=two",
        "localhost slots=-1",
        "localhost slot=2",
        "localhost slots=",
        "localhost SLOTS=2",
    ),
    *("localhost slots=2\nlocalhost slots=2", "localhost\nlocalhost", "localhost:2\nlocalhost:2"),
    *("localhost max-slots=1 slots=2", "localhost slots=2 max_slots=1", "localhost max_slots=4"),
    *("localhost:two", "localhost:0", "\ufefflocalhost slots=2", "'localhost'", "\tlocalhost:2\t"),
]
MORE_FILES = [
    *("localhost slots=0", "localhost slots=0\nlocalhost", "localhost slots=02", "localhost slots=+2"),
    *(
        "localhost slots=3000000000",
        "localhost slots=2x",
        "localhost slots=2.5",
        "localhost 4",
        "localhost slots",
    ),
    *("localhost slots=2\nlocalhost", "localhost\nlocalhost slots=2", "localhost slots=2\n127.0.0.1 slots=2"),
    *(
        "localhost max_slots=4\nlocalhost slots=2",
        "localhost slots=2 slots=2",
        "localhost cpu=2",
        "localhost cpus=2",
    ),
    *("localhost slots=2 port=22", "localhost port=ssh", "localhost username=root", "localhost user=root"),
    *("root@localhost slots=2", "localhost slots=2 # ä", "localhost /* c */", "localhost slots=2 foo bar"),
    *(
        "localhost slots=2 foo=3",
        "localhost slots=2,max_slots=4",
        "localhost :2",
        "localhost: 2",
        "localhost:2:3",
    ),
    *("localhost:2x", "localhost:", "localhost:-1", "localhost:2 binding=user:1", "localhost:2 # a comment"),
    *(
        "localhost:1 user=root\nlocalhost:1 user=root",
        "localhost slots=2\\",
        "localhost \\\nslots=2",
        "[::1]",
    ),
    *(
        "localhost sockets=1",
        "rank 0=localhost slot=0",
        "+n0",
        "localhost a.b",
        "\n \t\n# c\n\nlocalhost",
        "// c",
    ),
    *("localhost\v", "localhost slots=2\f", "localhost slots=2 username root", "localhost username=a.b"),
    *("localhost;", "localhost\u00a0slots=2", "localhost binding", "localhost =2", "localhost,localhost"),
]


def starts(mpi: Mpi, file: Path, environment: dict[str, str], seconds: float = 10) -> bool:
    with tempfile.TemporaryDirectory(prefix="mpi-pi-") as folder:
        settings = {name: value for name, value in environment.items() if "rmaps" not in name}
        # Nothing is looked for outside of this machine.
        settings |= dict.fromkeys(("OMPI_MCA_plm_rsh_agent", "PRTE_MCA_plm_ssh_agent"), "false")
        settings |= {"HYDRA_LAUNCHER": "ssh", "HYDRA_LAUNCHER_EXEC": "false", "TMPDIR": folder}
        command = [mpi.mpirun, "-hostfile", str(file), "-n", "1", "echo", "started"]
        try:
            run = subprocess.run(
                command,
                env=settings,
                capture_output=True,
                timeout=seconds,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except subprocess.TimeoutExpired:  # MPICH waits for an ssh that has ended long since
            return False
    # Open MPI 4 complains of a byte order mark, and goes on as if there were no hostfile.
    return run.returncode == 0 and b"started" in run.stdout and b"parse error" not in run.stderr


def judged(mpi: Mpi, file: Path) -> str:
    """Return the reason why that MPI cannot use a file; "" if it can."""
    try:
        hostfile.read(str(file), mpi.library.replace(" v", " "))
    except HostfileError as unusable:
        return str(unusable)
    return ""


def compare(mpi: Mpi, environment: dict[str, str], folder: Path, texts: list[str]) -> None:
    files = [folder / f"{number}.hosts" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_bytes(text.encode() + b"\n")
    with ThreadPoolExecutor(4) as pool:
        real = list(pool.map(lambda file: starts(mpi, file, environment), files))
    judgements = [judged(mpi, file) for file in files]
    for index, file in enumerate(files):
        if not (real[index] or judgements[index]):  # perhaps for want of time, on a busy machine
            real[index] = starts(mpi, file, environment, 60)
    wrong = [
        (text, why or "usable")
        for text, there, why in zip(texts, real, judgements, strict=True)
        if there == bool(why)
    ]
    assert wrong == []
    assert {True, False} == set(real)
    for file, why in zip(files, judgements, strict=True):
        assert re.match(
            rf"$|{re.escape(repr(str(file)))}: (line \d+: |no host has a slot|names no hosts)[^\n]*$", why
        )


def test_hostfiles_are_refused_as_by_mpirun(mpi: Mpi, environment: dict[str, str], tmp_path: Path) -> None:
    compare(mpi, environment, tmp_path, FILES)


@soak
def test_several_hosts_are_refused_as_by_mpirun(
    mpi: Mpi, environment: dict[str, str], tmp_path: Path
) -> None:
    compare(mpi, environment, tmp_path, MORE_FILES)


@pytest.mark.parametrize(
    ("text", "launcher", "message"),
    [
        ("a\nb slots=two\n", "Open MPI 5.0.11", "line 2: 'slots=two': slots wants a number, such as slots=4"),
        ("a\r\n", "Open MPI 5.0.11", "line 1: 'a\\r' ends as lines do in Windows"),
        ("\n\na slot=2\n", "Open MPI 4.1.4", "line 3: 'slot=2' is not a setting, such as slots=4"),
        ("a slots=4\nb\na slots=4\n", "Open MPI 5.0.11", "line 3: the slots of a are given twice"),
        ("a.x slots=4\na.y slots=4\n", "Open MPI 5.0.11", "line 2: the slots of a.y are given twice"),
        ("a:4\n", "Open MPI 5.0.11", "line 1: 'a:4' is what MPICH would take; for Open MPI it is a slots=4"),
        ("a slots=4\n", "MPICH 5.0.2", "line 1: 'slots=4' is what Open MPI would take; for MPICH it is a:4"),
        ("a:4 # c\n", "MPICH 5.0.2", "line 1: '#': MPICH takes a comment in a line of its own only"),
        ("a:x\n", "MPICH 5.0.2", "line 1: 'a:x': after the colon there has to be a number of ranks"),
        ("::1\n", "MPICH 5.0.2", "line 1: '::1' is not a host"),
        ("a slots=2 # c", "Open MPI 5.0.11", "line 1: a comment in the last line"),
        ("a_1\n", "Open MPI 4.1.4", "line 1: 'a_1': Open MPI 4 takes letters, digits, dots and hyphens"),
        ("a slots=0\n", "Open MPI 5.0.11", "no host has a slot for a rank"),
        ("a\na max_slots=1\n", "Open MPI 5.0.11", "line 2: at most 1 slots are less than its slots, 2"),
        ("a user=b user=c\n", "MPICH 5.0.2", "line 1: 'user=c' is not a setting of a host"),
    ],
)
def test_error_names_line_and_text(text: str, launcher: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        hostfile.parse(text, launcher)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("10.0.0.1:4\n", ["line 1: mpirun skips ':4', and gives 10.0.0.1 no slots for it: 10.0.0.1 slots=4"]),
        ("a b\n", ["line 1: mpirun skips 'b', and gives a no slots for it"]),
        ("a.x\na.y\n", ["line 2: mpirun takes a.x and a.y for one host"]),
        ("a slots=4 # b\na.x\n", ["line 2: mpirun takes a and a.x for one host"]),
        ("a slots=4\nb slots=4\n", []),
    ],
)
def test_text_that_open_mpi_skips_is_noted(text: str, notes: list[str]) -> None:
    found = hostfile.parse(text, "Open MPI 5.0.11").notes
    assert len(found) == len(notes)
    assert all(note.startswith(start) for note, start in zip(found, notes, strict=True))


@pytest.mark.parametrize("command", [["check-hosts"], ["check-hosts", "--file-alone"], ["deploy"]])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"localhost slots=2\nlocalhost slots=-1\n", "line 2: '"),
        (b"localhost slots=2,max=3\n", "line 1: '"),
        (b"\xef\xbb\xbflocalhost\n", "line 1: it begins with a byte order mark"),
        (b"# nobody\n", "names no hosts"),
        (b"", "names no hosts"),
        ("localhost\n".encode("utf-16"), "not a text file"),
    ],
)
def test_bad_hostfile_is_one_line_of_each_command(
    tmp_path: Path, command: list[str], content: bytes, problem: str
) -> None:
    file = tmp_path / "hosts"
    file.write_bytes(content)
    run = subprocess.run(
        [MPI_PI, command[0], str(file), *command[1:]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ,
    )
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith(f"mpi-pi: error: argument HOSTFILE: {str(file)!r}: {problem}")
    assert run.stderr.count("\n") == 1


def make(mpi: Mpi, environment: dict[str, str], target: str, file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        mpi.make(target, f"HOSTFILE={file}"),
        cwd=ROOT,
        env={name: value for name, value in environment.items() if "rmaps" not in name},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_make_reads_a_hostfile_as_its_own_mpirun(
    mpi: Mpi, environment: dict[str, str], tmp_path: Path
) -> None:
    """Several MPIs of the machine may use one environment."""
    ours, others, empty = (tmp_path / name for name in ("ours", "others", "empty"))
    ours.write_text(mpi.hostfile({"localhost": 1}))
    others.write_text("node1 slots=1\n" if mpi.is_mpich else "node1:1\n")
    empty.write_text("# nobody\n")
    fine = make(mpi, environment, "check-hosts", ours)
    assert fine.returncode == 0, fine.stderr
    assert fine.stderr == ""
    assert fine.stdout.endswith("Ready = 1 of 1 hosts\n")
    word = "slots=1" if mpi.is_mpich else "node1:1"
    for file, problem in ((others, f"line 1: {word!r}"), (empty, "names no hosts")):
        refused = make(mpi, environment, "run", file)
        said = without_make(refused.stderr)
        assert said[0].startswith(f"mpi-pi: error: argument HOSTFILE: {str(file)!r}: {problem}")
        assert len(said) == 1
        assert refused.returncode == 2


def test_start_that_fails_points_to_check_hosts(
    open_mpi: Mpi, environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "hosts"
    file.write_text("no-such-host.invalid\n")
    failed = make(open_mpi, environment, "run", file)
    assert failed.returncode != 0
    assert re.search(rf"make check-hosts .*HOSTFILE={file} ", failed.stderr)
    file.write_text("localhost\n")
    assert "check-hosts" not in make(open_mpi, environment, "run", file).stderr


HYDRA = is_hydra()


@pytest.mark.parametrize("command", ["check-hosts", "deploy"])
def test_bad_hostfile_is_bad_usage(command: str) -> None:
    run = subprocess.run(
        [MPI_PI, command, "no/such/file"], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 2
    assert run.stderr == "mpi-pi: error: argument HOSTFILE: 'no/such/file': No such file or directory\n"
    assert run.stdout == ""


def test_mpirun_reads_the_same_hosts(tmp_path: Path, environment: dict[str, str]) -> None:
    """The launcher of the tests only prints its hosts."""
    file, agent, said = tmp_path / "hosts", tmp_path / "agent", tmp_path / "said"
    if HYDRA:
        agent.write_text(f'#!/bin/sh\necho "    $2: slots=" >> {said}\nexit 1\n')
        agent.chmod(0o755)
        file.write_text("# hosts\nnode1:2\nnode2:3 binding=none\n\n 10.1.2.3\nnode1:1\n")
        options = ["-f", str(file), "-launcher", "ssh", "-launcher-exec", str(agent)]
    else:
        file.write_text(
            "# hosts\nnode1 slots=2\nnode2   slots = 3 max_slots=4\n\n 10.1.2.3 # the last\nnode1\n"
        )
        version = subprocess.run([MPIRUN, "--version"], capture_output=True, text=True, check=True).stdout
        display = ["--display-map"] if ") 4." in version else ["--display", "allocation"]
        options = ["-hostfile", str(file), *display, "--do-not-launch"]
    run = subprocess.run(
        [MPIRUN, *options, "-n", "7", "true"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    told = said.read_text() if said.exists() else run.stdout
    found = re.findall(r"^ (?:   (?=.*: slots)|Data for node: )([\w.]+)", told, re.MULTILINE)
    read = hostfile.read(str(file), launcher_at(Path(sys.prefix)))
    assert list(dict.fromkeys(found)) == [host.name for host in read.hosts]
