"""Faults in a process of `mpi-pi`: what goes wrong, at which point, on which rank.

`Faults.program` writes a program that is mpi-pi but for its faults. They are installed when the module that
they are in has been imported, and before any other module can take names from it. Only names that a module
itself defines, and that do not begin with an underscore, can be replaced. Each process notes in files what
it has replaced and what has gone wrong: `Faults.require_all` fails for a name that is no longer there, or
that nothing calls any more.

This module is imported by the faulty process: it needs the standard library alone.
"""

import ast
import contextlib
import functools
import importlib.abc
import importlib.machinery
import inspect
import itertools
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from support import miscounts, scripts

MESSAGE = "the dog ate it"
"""The text of the exception that is raised."""

PACE = 3e6
"""Points that a kernel at a pace counts in a second, with which a job does not end on the fastest machine."""

FULL_SPEED = "full-speed"
"""Name of the file, beside a program, that ends its pace."""

Act = Callable[[], None]


def before(function: Callable[..., Any], act: Act, first: str = "") -> Callable[..., Any]:
    """Return the function, with the fault just before it; only for this first argument, if one is given."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not first or args[0] == first:
            act()
        return function(*args, **kwargs)

    return wrapped


def after(function: Callable[..., Any], act: Act, first: str = "") -> Callable[..., Any]:
    """Return the function, with the fault just after it; only for this first argument, if one is given."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        if not first or args[0] == first:
            act()
        return value

    return wrapped


def within(manager: Callable[..., Any], act: Act, first: str = "") -> Callable[..., Any]:
    """Return the function that makes a context manager, with the fault when its context is entered."""

    @contextlib.contextmanager
    def wrapped(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with manager(*args, **kwargs) as value:
            if not first or args[0] == first:
                act()
            yield value

    return wrapped


def counting(load: Callable[..., Any], act: Act, _: str = "") -> Callable[..., Any]:
    """Return a function that loads a kernel with the fault in it, but for the known answers."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from mpi_pi.kernel.known_answers import HITS_OF_UNITS

        kernel, known = load(*args, **kwargs), [job for job, *_ in HITS_OF_UNITS]

        def count(job: Any, *rest: Any, **options: Any) -> Any:
            if job not in known:
                act()
            return kernel.count(job, *rest, **options)

        return replace(kernel, count=count)

    return wrapped


def damaged(load: Callable[..., Any], act: Act, _: str = "") -> Callable[..., Any]:
    """Return a function that loads a kernel which counts wrong, known answers too, from its third call on."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        from mpi_pi.kernel.known_answers import HITS_OF_UNITS

        kernel, known, calls = load(*args, **kwargs), [job for job, *_ in HITS_OF_UNITS], itertools.count(1)
        is_damaged = False

        def count(job: Any, *rest: Any, **options: Any) -> Any:
            nonlocal is_damaged
            if job not in known and next(calls) == 3:
                is_damaged = True
                act()
            hits = kernel.count(job, *rest, **options)
            return hits ^ 1 if is_damaged else hits

        return replace(kernel, count=count)

    return wrapped


def wrong_in(load: Callable[..., Any], act: Act, what: str) -> Callable[..., Any]:
    """Return a function that loads a kernel which counts `what` wrongly, see `miscounts.WRONG`."""
    from mpi_pi.system import launch_env

    wrong, hits = miscounts.WRONG[what]
    return miscounts.miscounting(wrong, hits, launch_env.rank(), load, act)  # type: ignore[no-any-return]


def twice(load: Callable[..., Any], act: Act, _: str = "") -> Callable[..., Any]:
    """Return a function that loads a kernel which counts everything twice, at half the rate."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        kernel = load(*args, **kwargs)

        def count(*rest: Any, **options: Any) -> Any:
            act()
            kernel.count(*rest, **options)
            return kernel.count(*rest, **options)

        return replace(kernel, count=count)

    return wrapped


def at_a_pace(load: Callable[..., Any], act: Act, _: str = "") -> Callable[..., Any]:
    """Return a function that loads a kernel which counts at most PACE points/s before `Faults.full_speed`."""
    full_speed = Path(sys.argv[0]).with_name(FULL_SPEED)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        kernel = load(*args, **kwargs)

        def count(job: Any, units: range, stop: Callable[[], bool] = lambda: False) -> Any:
            act()
            end = time.monotonic() + job.points_in(units) / PACE
            while time.monotonic() < end and not full_speed.exists() and not stop():
                time.sleep(min(max(end - time.monotonic(), 0), 0.01))
            return kernel.count(job, units, stop)

        return replace(kernel, count=count)

    return wrapped


def other_answers(answers: Sequence[Any], act: Act, _: str = "") -> Sequence[Any]:
    """Return one known answer that no kernel gives."""
    act()
    job, units, hits = answers[0]
    return ((job, units, (hits[0] + 1, *hits[1:])),)


def slow_clock(answer: Callable[..., Any], act: Act, _: str = "") -> Callable[..., Any]:
    """Return the function, in which the clock is 100 s ahead, and takes 50 ms to be read."""

    def wrapped(*args: Any) -> Any:
        act()
        real = time.time

        def read() -> float:
            time.sleep(0.05)
            return real() + 100

        time.time = read
        try:
            return answer(*args)
        finally:
            time.time = real

    return wrapped


class Point(NamedTuple):
    """Where a fault is: the name that is replaced, by what, and for which first argument of it."""

    name: str
    """`module:attribute`, within the package."""
    make: Callable[[Any, Act, str], Any]
    first: str = ""


POINTS = {
    "after the imports": Point("mpi.library:embedded_defaults", before),
    "in MPI_Init": Point("mpi.time_limit:limited", within, "MPI_Init"),
    "after MPI_Init": Point("mpi.runtime:watch", before),
    "after the first heartbeat": Point("mpi.runtime:watch", after),
    "in the handshake": Point("timestamps:mark", after, "met"),
    "in the loading of the kernel": Point("kernel.loader:load", before),
    "after the loading of the kernel": Point("timestamps:mark", after, "kernel"),
    "after the handshake": Point("parallel.team:assemble", after),
    "before the first round": Point("parallel.threads:ThreadTeam.__init__", after),
    "in a round": Point("parallel.threads:ThreadTeam.count", after),
    "in the last reduce": Point("timestamps:mark", after, "end"),
    "in the end of the run": Point("parallel.threads:ThreadTeam.close", before),
    "before the report": Point("parallel.run:count", after),
    "after the command": Point("cli.signals:Signals.ignore", before),
    "before the end of MPI": Point("mpi.runtime:Runtime.finish", before),
    "in MPI_Finalize": Point("mpi.heartbeat:Heartbeat.close", after),
    # In what is called at several points, on rank 0 alone, after a loss of ranks, or not by a run.
    "before the shrink": Point("mpi.ulfm:shrink", before),
    "after the shrink": Point("mpi.ulfm:shrink", after),
    "in the agreement": Point("parallel.recovery:require_majority", before),
    "after the takeover": Point("parallel.repair:take_over", after),
    "before the files": Point("storage.result_file:as_json", before),
    "between files and report": Point("report.run:blocks", before),
    "after the report": Point("cli.run_output:RunOutput.report", after),
    "before the departure": Point("mpi.runtime:Runtime.depart", before),
    "in the import of MPI": Point("mpi.library:embedded_defaults", within),
    "in the kernel": Point("kernel.loader:load", counting),
    "in the kernel, later": Point("kernel.loader:load", damaged),
    "in the kernel, slowly": Point("kernel.loader:load", twice),
    "in the kernel, at a pace": Point("kernel.loader:load", at_a_pace),
    "in the report of a round": Point("parallel.messages:pack", before),
    "in the cache": Point("kernel.code_cache:fetch", before),
    "in the known answers": Point("kernel.known_answers:HITS_OF_UNITS", other_answers),
    "in the clock": Point("mpi.pingpong:answer", slow_clock),
    "before the settlement": Point("parallel.settlement:settle", before),
    "in the settlement": Point("parallel.disputes:third_ranks", before),
    "after an exclusion": Point("parallel.repair:exclude", after),
    **{f"wrong in {what}": Point("kernel.loader:load", wrong_in, what) for what in miscounts.WRONG},
}
"""In the order in which a run passes them, up to the comment."""


def impatience(every: float, patience: float, step: float | None = None) -> dict[str, float]:
    """Return values with which ranks send heartbeats every so many seconds, and give others up after so many.

    They look for heartbeats in steps of so many seconds.
    """
    values = {"mpi.heartbeat:INTERVAL_SECONDS": every, "mpi.time_limit:patience_seconds": patience}
    return values if step is None else values | {"mpi.heartbeat:POLL_SECONDS": step}


SHORT_ROUNDS: dict[str, float] = {
    "parallel.load_balancer:DEFAULT(first_points)": 1,
    "parallel.load_balancer:DEFAULT(round_nanoseconds)": 1,
    "parallel.load_balancer:DEFAULT(wait_factor)": 0,
}
"""Values with which a small job has many rounds."""

UNVERIFIABLE: dict[str, float] = {"model.verdict:DISTANCE": 2.0}
"""Values with which no answer is verified."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong at a point."""

    point: str
    """One of POINTS."""
    deed: str = "raise"
    """`raise`, an exception; `exhaust`, to ask for more memory than allowed; `sleep`; `say`, to write to
    standard error; `ignore`, SIGTERM from then on; `nothing` but what is at the point; or a signal, such as
    SIGSTOP."""
    rank: int | None = None
    """On this rank alone, or on all."""
    seconds: float = 0.0
    """How long to sleep, or until the signal comes."""
    passes: int = 0
    """How often a process passes the point before that."""


AT_A_PACE = Fault("in the kernel, at a pace", "nothing")
"""With which a job does not end before `Faults.full_speed` is called."""


class Faults:
    """The faulty programs of a test, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs: list[Path] = []

    def program(
        self, *faults: Fault, values: Mapping[str, float | str] | None = None, python: str = sys.executable
    ) -> str:
        """Return the path of a program that is mpi-pi with these faults, and these values of constants.

        `values` has them by name: `module:attribute`, `module:function(parameter)` for a default, or
        `module:object(field)` of a dataclass, in the object that all modules share.
        """
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        unknown = [fault.point for fault in faults if fault.point not in POINTS]
        assert not unknown, f"no such points: {unknown}"
        plan = {"faults": [asdict(fault) for fault in faults], "values": dict(values or {})}
        (folder / "plan.json").write_text(json.dumps(plan))
        tests = str(Path(__file__).parent.parent)
        text = (
            f"import sys\nsys.path[0] = {tests!r}\nfrom support import faults\nfaults.main({str(folder)!r})\n"
        )
        scripts.write(folder / "mpi-pi", text, python)
        self._programs.append(folder)
        return str(folder / "mpi-pi")

    @property
    def last(self) -> Path:
        """The folder of the last program, with the notes of what its processes have done."""
        return self._programs[-1]

    def full_speed(self) -> None:
        """Let the last program, whose kernel counts at a pace, count as fast as it can from now on."""
        (self.last / FULL_SPEED).touch()

    def require_all(self) -> None:
        """Raise AssertionError unless all that was asked for has been replaced, and has gone wrong."""
        for folder in self._programs:
            plan = json.loads((folder / "plan.json").read_text())
            assert not list(folder.glob("lost*")), "".join(f.read_text() for f in folder.glob("lost*"))
            for index, fault in enumerate(plan["faults"]):
                assert list(folder.glob(f"hit-{index}-*")), f"never came to pass: {fault}"
            for index, name in enumerate(plan["values"]):
                assert list(folder.glob(f"set-{index}-*")), f"never set: {name}"


def main(folder: str) -> None:
    """Be mpi-pi with the faults that the folder tells."""
    del sys.path[0]
    install(Path(folder))
    from mpi_pi.cli import main as cli

    cli.command()


def install(folder: Path) -> None:
    """Replace the names of the plan in the folder, now or when their modules are imported."""
    from mpi_pi.system import launch_env

    plan = json.loads((folder / "plan.json").read_text())
    replacing = _Replacing(folder)
    for index, members in enumerate(plan["faults"]):
        fault = Fault(**members)
        if fault.rank in (None, launch_env.rank()):
            point = POINTS[fault.point]
            act = functools.partial(_act, fault, folder / f"hit-{index}-{_own_name()}", itertools.count())
            replacing.add(point.name, functools.partial(_made, point, act))
    for index, (name, value) in enumerate(plan["values"].items()):
        note = folder / f"set-{index}-{os.getpid()}"
        replacing.add(name.partition("(")[0], functools.partial(_set, name, value, note))
    sys.meta_path.insert(0, replacing)


def _own_name() -> str:
    """Return a name of this process; hosts in namespaces have equal process numbers."""
    return f"{os.uname().nodename}-{os.getpid()}"


def _made(point: Point, act: Act, old: Any) -> Any:
    return point.make(old, act, point.first)


def _act(fault: Fault, note: Path, passes: Iterator[int]) -> None:
    if next(passes) != fault.passes:
        return
    note.touch()
    if fault.deed == "raise":
        raise RuntimeError(MESSAGE)
    if fault.deed == "sleep":
        time.sleep(fault.seconds)
    elif fault.deed == "exhaust":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        bytearray(1 << 30)
    elif fault.deed == "say":
        os.write(2, b"a word of a library\n")
        warnings.warn("a warning", UserWarning, stacklevel=2)
    elif fault.deed == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif fault.deed != "nothing":
        number = getattr(signal, fault.deed)
        if fault.seconds:
            threading.Timer(fault.seconds, os.kill, (os.getpid(), number)).start()
        else:
            os.kill(os.getpid(), number)


def _set(name: str, value: float | str, note: Path, old: Any) -> Any:
    """Return the new value, or the function or object that has it, and note that this was done."""
    note.touch()
    _, bracket, parameter = name.rstrip(")").partition("(")
    if not bracket:
        return value
    if is_dataclass(old) and not isinstance(old, type):
        getattr(old, parameter)
        object.__setattr__(old, parameter, value)  # frozen as it may be
        return old
    if isinstance(old, type) or parameter not in inspect.signature(old).parameters:
        raise AttributeError(f"no parameter {parameter} of a function")
    return functools.partial(old, **{parameter: value})


class _Replacing(importlib.abc.MetaPathFinder):
    """Replaces names of modules of the package as soon as those have been imported."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, list[tuple[str, Callable[[Any], Any]]]] = defaultdict(list)

    def add(self, name: str, make: Callable[[Any], Any]) -> None:
        """Replace `module:attribute` by what `make` makes of it."""
        module, _, path = name.partition(":")
        self._names[f"mpi_pi.{module}"].append((path, make))
        if found := sys.modules.get(f"mpi_pi.{module}"):
            self._replace_all(found)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self._names:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                self._replace_all(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def _replace_all(self, module: ModuleType) -> None:
        for path, make in self._names.pop(module.__name__, []):
            try:
                _replace(module, path, make)
            except (AttributeError, ValueError) as error:
                text = f"{module.__name__}:{path} cannot be replaced: {error}\n"
                (self._folder / f"lost-{os.getpid()}").write_text(text)
                os.write(2, text.encode())
                os._exit(70)


def _replace(module: ModuleType, path: str, make: Callable[[Any], Any]) -> None:
    owner: Any = module
    *owners, name = path.split(".")
    for part in owners:
        owner = getattr(owner, part)
    old = getattr(owner, name)
    if any(part.startswith("_") and not part.endswith("__") for part in path.split(".")):
        raise ValueError("it is private")
    if path.split(".")[0] not in _defined(module):
        raise ValueError("it is defined elsewhere")
    setattr(owner, name, make(old))


def _defined(module: ModuleType) -> set[str]:
    """Return the names that the source of a module defines, without those that it imports."""
    found = set()
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {
                name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
            }
    return found
