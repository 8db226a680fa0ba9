"""The command `mpi-pi burn-in` on this machine."""

import contextlib
import json
import platform
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest

from mpi_pi.burn_in import document
from support import sensors
from support.faults import Fault, Faults, impatience
from support.launching import MPI_PI, Launch, imported_by_run
from support.schemas import BURN_IN as SCHEMA
from support.sensors import CPUS, FIRMWARE, INTEL, PI

BURN_IN = (MPI_PI, "burn-in", "3s", "--seed", "1")
CORES = psutil.cpu_count() or 1
HOST = platform.node()


def read(text: str) -> dict[str, Any]:
    """Return a document that is as its schema says, and that can be read again."""
    made: dict[str, Any] = json.loads(text)
    jsonschema.validate(made, SCHEMA)
    document.of_content(text.encode())
    return made


def texts(made: dict[str, Any], severity: str = "fault") -> str:
    return "\n".join(found["text"] for found in made["findings"] if found["severity"] == severity)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_report_follows_the_schema(launch: Launch, tmp_path: Path, ranks: int) -> None:
    """Where the machine is busy, a core may well be called slow."""
    run = launch(ranks, *BURN_IN, "--json", str(tmp_path / "o.json"))
    made = read((tmp_path / "o.json").read_text())
    faults = sum(found["severity"] == "fault" for found in made["findings"])
    assert run.returncode == (0 if made["passed"] else 1), run.stderr
    verdict = "passed" if made["passed"] else f"failed, {faults} fault{'s' if faults > 1 else ''}"
    assert run.stdout.endswith(f"\nBurn-in = {verdict}\n")
    assert f"Hosts = 1, ranks = {ranks}\n" in run.stdout
    for found in made["findings"]:
        assert f"{found['severity']}: {found['text']}\n" in run.stdout
    assert re.findall(r"^(.*) = \d\.\d s; \d+ rounds?; ", run.stdout, re.MULTILINE) == [
        *("All cores", "One core at a time", "On and off"),
    ]
    assert re.search(rf"^{re.escape(HOST)} +{ranks} ", run.stdout, re.MULTILINE)
    assert (made["complete"], made["seconds"], made["seed"], made["audit"]) == (True, 3.0, "1", 1.0)
    assert [phase["name"] for phase in made["phases"]] == ["steady", "alone", "pulsed"]
    assert [host["host"] for host in made["hosts"]] == [HOST]
    assert f"{HOST}: more threads than cores" in texts(made) or ranks <= CORES
    for phase in made["phases"]:
        assert phase["units"] > 0
        assert not phase["wrong"]
        assert all(work["right"] for work in phase["ranks"])
        assert len(phase["hosts"][0]["samples"]["end_seconds"]) >= 2
    assert all(work["points"] > 0 for work in made["phases"][0]["ranks"])
    for phase in made["phases"]:
        assert phase["recounted_units"] == (phase["units"] if ranks > 1 else 0)


def test_picture_of_a_burn_in_is_drawn(launch: Launch, tmp_path: Path) -> None:
    run = launch(0, MPI_PI, "burn-in", "3s", "--json", "-", "--progress", "on")
    assert "%|" in run.stderr
    (tmp_path / "burn-in.json").write_text(run.stdout)
    read(run.stdout)
    drawn = launch(0, MPI_PI, "plot", str(tmp_path / "burn-in.json"), "-o", str(tmp_path / "o.png"))
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "o.png").read_bytes().startswith(b"\x89PNG")


def test_slow_core_is_found(launch: Launch, faults: Faults) -> None:
    """Its kernel counts everything twice, so that it keeps its core busy for half the rate."""
    program = faults.program(Fault("in the kernel, slowly", "nothing", rank=1))
    run = launch(2, program, *BURN_IN[1:], "--json", "-")
    made = read(run.stdout)
    assert run.returncode == 1
    assert re.search(rf"all cores: {re.escape(HOST)} \(rank 1 on cores? [^)]*: \d\d%\)", texts(made))
    first, second = (work["points_per_second"] for work in made["phases"][0]["ranks"])
    assert second < 0.8 * first


def test_core_that_counts_some_units_wrong_is_found_and_named(launch: Launch, faults: Faults) -> None:
    """At once on standard error, and in the report; two other ranks tell who is wrong."""
    program = faults.program(Fault("wrong in one unit in fifty", "nothing", rank=1))
    run = launch(3, program, *BURN_IN[1:], "--json", "-")
    made = read(run.stdout)
    assert run.returncode == 1
    (wrong,) = made["phases"][0]["wrong"]
    assert (wrong["rank"], wrong["host"], wrong["cores"]) == (1, HOST, made["ranks"][1]["cores"])
    assert wrong["unit"] % 50 == 7
    assert wrong["counted"] == wrong["right"] + 1
    assert f"mpi-pi: error: host {HOST}: rank 1, core" in run.stderr
    assert re.search(
        rf"all cores: {re.escape(HOST)} \(rank 1 on cores? .*: \d+ of \d+ units\): counted wrong", texts(made)
    )
    assert {one["rank"] for phase in made["phases"] for one in phase["wrong"]} == {1}
    assert len(made["phases"]) == 3


def test_two_ranks_that_differ_are_both_named(launch: Launch, faults: Faults) -> None:
    """Without a third one nobody can tell who is wrong; the other phases follow."""
    program = faults.program(Fault("wrong in one unit in fifty", "nothing", rank=1))
    run = launch(2, program, *BURN_IN[1:], "--json", "-")
    made = read(run.stdout)
    assert run.returncode == 1
    dispute, *_ = made["phases"][0]["unsettled"]
    assert {opinion["rank"] for opinion in dispute["opinions"]} == {0, 1}
    assert "hits): these ranks do not agree on unit" in texts(made)
    assert [phase["name"] for phase in made["phases"]] == ["steady", "alone", "pulsed"]


@pytest.mark.skipif(CORES < 2, reason="there is but one core")
def test_core_that_others_use_is_told_from_a_slow_one(launch: Launch) -> None:
    """Each rank binds itself to a core, and other processes keep that of rank 1 busy."""
    with contextlib.ExitStack() as processes:
        for _ in range(3):
            busy = ["taskset", "-c", "1", sys.executable, "-c", "while True: pass"]
            process = processes.enter_context(subprocess.Popen(busy))
            processes.callback(process.kill)
        run = launch(2, *BURN_IN, "--json", "-")
    made = read(run.stdout)
    assert run.returncode == 1
    assert [rank["cores"] for rank in made["ranks"]] == ["0", "1"]
    told = re.escape(f"{HOST} (rank 1 on core 1: ") + r"\d+%\): other programs took the rest of the core"
    assert re.search(f"^all cores: (.*, )?{told}", texts(made), re.MULTILINE)


@contextlib.contextmanager
def changing(root: Path, names: list[str], step: int) -> Iterator[None]:
    """Let numbers in files grow ten times a second; each appears at once, as it does in /sys."""
    done = threading.Event()

    def grow() -> None:
        while not done.wait(0.1):
            for name in names:
                new = root / f"{name}.new"
                new.write_text(f"{int((root / name).read_text()) + step}\n")
                new.rename(root / name)

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_throttled_server_is_found(launch: Launch, faults: Faults, tmp_path: Path) -> None:
    """Its sensors are files that change meanwhile: heat, power, and memory errors that are corrected."""
    root = sensors.write(tmp_path / "root", INTEL)
    program = faults.program(values={"system.sensors:ROOT": str(root)})
    growing = [
        f"{CPUS}/cpu0/thermal_throttle/core_throttle_total_time_ms",
        f"{sensors.MEMORY}/mc0/ce_count",
        f"{sensors.MEMORY}/mc0/dimm0/dimm_ce_count",
        "sys/class/powercap/intel-rapl:0/energy_uj",
    ]
    with changing(root, growing, 7):
        run = launch(2, program, *BURN_IN[1:], "--json", "-")
    made = read(run.stdout)
    assert run.returncode == 1
    for title in ("all cores", "one core at a time", "on and off"):
        assert re.search(
            rf"^{title}: {re.escape(HOST)} \(for \d\.\d of \d\.\d s, at 74 C\): the CPU was",
            texts(made),
            re.MULTILINE,
        )
        assert re.search(
            rf"^{title}: {re.escape(HOST)} \(\d+ in DIMM_A1\): memory", texts(made, "note"), re.MULTILINE
        )
    samples = made["phases"][0]["hosts"][0]["samples"]
    assert samples["celsius"] == [73.5] * len(samples["celsius"])
    assert samples["highest_mhz"][0] == 3400
    assert any(watts > 0 for watts in samples["watts"])


def test_raspberry_pi_with_a_weak_power_supply_is_found(
    launch: Launch, faults: Faults, tmp_path: Path
) -> None:
    root = sensors.write(tmp_path / "root", PI | {FIRMWARE: "50005"})
    program = faults.program(values={"system.sensors:ROOT": str(root)})
    run = launch(0, program, "burn-in", "3s", "--json", "-")
    made = read(run.stdout)
    assert run.returncode == 1
    assert f"all cores: {HOST}: the voltage was too low: a stronger power supply" in texts(made)
    assert "first of all, after the power supply" in texts(made)


@pytest.mark.parametrize(("name", "status"), [("SIGUSR1", 138), ("SIGTERM", 143), ("SIGINT", 130)])
def test_signal_ends_it_with_what_was_found_so_far(
    launch: Launch, faults: Faults, tmp_path: Path, name: str, status: int
) -> None:
    """The signal comes to one rank, in the second phase; all ranks of a healthy kind are judged by it."""
    file = str(tmp_path / "o.json")
    program = faults.program(Fault("before the first round", name, rank=1, seconds=0.2, passes=1))
    run = launch(2, program, "burn-in", "4s", "--json", file)
    made = read(Path(file).read_text())
    assert (made["complete"], made["passed"], made["stopped"]) == (False, False, name)
    assert [phase["name"] for phase in made["phases"]] == ["steady", "alone"]
    if texts(made):  # the machine is busy
        assert run.returncode == 1
    else:
        assert run.returncode == status
        end = rf"\nBurn-in = not complete, no faults in \d of 4 s \(stopped by {name}\)\n$"
        assert re.search(end, run.stdout)


def test_host_that_falls_silent_is_a_fault(launch: Launch, faults: Faults, tmp_path: Path) -> None:
    """And the phases before are reported."""
    file = str(tmp_path / "o.json")
    program = faults.program(
        Fault("before the first round", "SIGSTOP", rank=1, passes=1), values=impatience(0.5, 4.0)
    )
    run = launch(2, program, "burn-in", "3s", "--json", file)
    made = read(Path(file).read_text())
    assert run.returncode == 1
    assert f"host {HOST} has been silent for 4 s, with rank 1: it hung, or switched itself off" in texts(made)
    assert made["phases"][0]["ranks"][1]["points"] > 0
    assert "\nBurn-in = failed, " in run.stdout
    assert f"mpi-pi: error: host {HOST} has been silent for 4 s, with rank 1\n" in run.stderr


def test_threads_count_together(launch: Launch) -> None:
    run = launch(1, *BURN_IN, "--threads", "2", "--audit", "0", "--json", "-")
    made = read(run.stdout)
    assert made["ranks"][0]["threads"] == 2
    assert made["audit"] == 0
    assert made["phases"][0]["recounted_units"] == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("2s",), "argument TIME: '2s': must be at least 3s"),
        (("soon",), "argument TIME: 'soon': not a time such as 90s, 55m or 1:30:00"),
        (("6s", "--audit", "10"), "argument --audit: '10': more than all: a share is at most 100%, or 1"),
        (("6s", "--audit", "all"), "argument --audit: 'all': not a share such as 1%, 0.1 or 100%"),
        (
            ("6s", "--json", "/no/such/o.json"),
            "argument --json: '/no/such/o.json': No such file or directory",
        ),
        ((), "the following arguments are required: TIME"),
    ],
)
def test_bad_usage_is_one_line(launch: Launch, words: tuple[str, ...], why: str) -> None:
    run = launch(2, MPI_PI, "burn-in", *words)
    assert run.returncode == 2
    assert [line for line in run.stderr.splitlines() if "mpi-pi: " in line] == [f"mpi-pi: error: {why}"]
    assert run.stdout == ""


def test_run_does_not_import_the_burn_in(launch: Launch) -> None:
    modules = imported_by_run(launch)
    own = r"mpi_pi\.(burn_in\b|cli\.burn_in$|report\.burn_in$|system\.(sensors|sysfs)$)"
    assert [name for name in modules if re.match(own, name)] == []
