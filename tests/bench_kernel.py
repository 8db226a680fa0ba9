"""The kernel beside what people write, on one core: `make bench`.

All candidates take turns in one program, so that what else the machine does meets them alike. Each is
given by its median and by the ratio of our kernel to it: the median of the turns' ratios, with quartiles.
"""

import ctypes
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

from mpi_pi import kernels, reference
from mpi_pi.compiled import CompiledKernel
from mpi_pi.job import BLOCK, Job

TURNS = 15
JOB = Job(trials=1, points=BLOCK, seed=1)

Candidate = tuple[str, int, Callable[[], int]]
"""A name, the points of one go, and the go, which returns its hits."""


def main() -> int:
    compiled = kernels.load("numba")
    ours = f"mpi_pi, numba for {compiled.target}"
    with tempfile.TemporaryDirectory() as folder:
        candidates: list[Candidate] = [
            (ours, BLOCK, lambda: int(compiled.count(JOB, range(1), reference.never)[0])),
            *by_hand(Path(folder)),
            for_another_cpu("haswell", "+avx2"),
            for_another_cpu("generic", ""),
            ("mpi_pi, NumPy", 64 * 10_000, numpy_kernel),
            ("numba + Generator(PCG64)", 10**6, numba_generator(np.random.default_rng(1))),
            ("numba + np.random", 10**6, numba_np_random),
            ("NumPy random.rand, as in Flame's example", 10**6, numpy_rand),
            ("plain Python, as in the OctaPi lesson", 10**4, plain_python),
        ]
        rates = take_turns(candidates)
    print(f"{'one core':<44}{'points/s':>12}{'ours is … times as fast':>28}")
    for name, own in rates.items():
        ratios = [a / b for a, b in zip(rates[ours], own, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        digits = 0 if middle > 100 else 2
        interval = "" if name == ours else f"{middle:.{digits}f} ({low:.{digits}f} … {high:.{digits}f})"
        print(f"{name:<44}{statistics.median(own):>12.4g}{interval:>28}")
    print_short_trials(compiled)
    return 0


def take_turns(candidates: list[Candidate]) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name, _, _ in candidates}
    for turn in range(-1, TURNS):  # the first turn warms up
        for name, points, go in candidates:
            start = time.perf_counter()
            hits = go()
            seconds = time.perf_counter() - start
            assert abs(hits / points - np.pi / 4) < 6 * 0.41 / points**0.5, f"{name} is wrong"
            if turn >= 0:
                rates[name].append(points / seconds)
    return rates


def by_hand(folder: Path) -> list[Candidate]:
    """The hand-written kernel, where there is a C compiler and a CPU for it."""
    compiler = shutil.which("cc")
    if compiler is None or "avx512bw" not in Path("/proc/cpuinfo").read_text():
        print("no hand-written AVX-512: it needs cc and a CPU with avx512bw")
        return []
    source, library = Path(__file__).with_name("kernel_avx512.c"), folder / "kernel.so"
    flags = ["-O3", "-mavx512f", "-mavx512bw", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, "-o", str(library), str(source)], check=True)
    function = ctypes.CDLL(str(library)).count_steps
    function.restype = ctypes.c_int64
    steps = ctypes.c_int64(BLOCK // 64)

    def go() -> int:
        state = reference.unit_state(JOB, 0)
        return int(function(state.ctypes.data_as(ctypes.c_void_p), steps))

    hits = kernels.load("numba").count(JOB, range(1), reference.never)[0]
    assert go() == hits, "the hand-written kernel counts something else"
    return [("AVX-512 intrinsics in C, by hand", BLOCK, go)]


def for_another_cpu(cpu: str, features: str) -> Candidate:
    """Our kernel compiled, in a process of its own, for another CPU than this."""
    program = (
        "import json, sys; from mpi_pi import kernel; code, name = kernel.object_code();"
        "print(json.dumps([code.hex(), name]))"
    )
    environment = os.environ | {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features}
    out = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    code, name = json.loads(out.stdout)
    kernel = CompiledKernel(bytes.fromhex(code), name)
    return f"mpi_pi, numba for {cpu}", BLOCK, lambda: int(kernel(JOB, range(1))[0])


def numpy_kernel() -> int:
    return int(reference.count(Job(64, 10_000, 1), range(64)).sum())


def numba_generator(generator: np.random.Generator) -> Callable[[], int]:
    @numba.njit
    def count(generator, points):  # type: ignore[no-untyped-def]
        hits = 0
        for _ in range(points):
            x, y = generator.random(), generator.random()
            hits += x * x + y * y < 1.0
        return hits

    return lambda: int(count(generator, 10**6))


@numba.njit
def count_np_random(points):  # type: ignore[no-untyped-def]
    hits = 0
    for _ in range(points):
        x, y = np.random.random(), np.random.random()  # noqa: NPY002  # what people write
        hits += x * x + y * y < 1.0
    return hits


def numba_np_random() -> int:
    return int(count_np_random(10**6))


def numpy_rand() -> int:
    x, y = np.random.rand(10**6), np.random.rand(10**6)  # noqa: NPY002
    return int((x * x + y * y < 1.0).sum())


def plain_python() -> int:
    hits = 0
    for _ in range(10**4):
        x, y = random.random(), random.random()
        hits += x * x + y * y <= 1
    return hits


def print_short_trials(compiled: kernels.Kernel) -> None:
    """Where seeding counts as much as counting: the best of several goes."""
    print(f"\n{'a million trials, one core':<44}{'seconds':>12}")
    for points in (100, 10_000):
        job, seconds = Job(10**6, points, 1), []
        for _ in range(3):
            start = time.perf_counter()
            for first in range(0, job.trials, 1 << 16):
                compiled.count(job, range(first, min(first + (1 << 16), job.trials)), reference.never)
            seconds.append(time.perf_counter() - start)
        print(f"{f'of {points} points':<44}{min(seconds):>12.3f}")


if __name__ == "__main__":
    sys.exit(main())
