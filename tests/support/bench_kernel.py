"""The kernel beside hand-written C, and compiled for other CPUs, on one core: `make bench-kernel`.

For maintainers of the kernel; `mpi-pi bench kernel` compares it with what users would write.
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mpi_pi.bench import kernel as kernel_bench
from mpi_pi.bench.kernel import BITS, Implementation, subject
from mpi_pi.kernel import layout, loader, reference
from mpi_pi.kernel.loader import Kernel
from mpi_pi.kernel.machine_code import CompiledKernel
from mpi_pi.model.job import BLOCK, Job
from mpi_pi.report import plain
from mpi_pi.report.bench import kernel as kernel_report

GO_SECONDS = 0.1
SHORT_TRIALS = (100, 1_000, 10_000, 100_000)
"""Points, where seeding counts as much as counting."""

JOB = Job(trials=1, points=BLOCK, seed=1)


def main() -> int:
    compiled = loader.load("numba")
    with tempfile.TemporaryDirectory() as folder:
        candidates = [
            subject(compiled, f"mpi_pi for {compiled.target}", BLOCK),
            *by_hand(Path(folder)),
            subject(for_another_cpu("haswell", "+avx2"), "mpi_pi for haswell", BLOCK),
            subject(for_another_cpu("generic", ""), "mpi_pi for generic", BLOCK),
            *(subject(compiled, f"mpi_pi, trials of {points} points", points) for points in SHORT_TRIALS),
        ]
        section = kernel_bench.compare(candidates, GO_SECONDS, kernel_bench.TURNS, lambda _: None)
    print(plain.text(kernel_report.blocks(section)))
    return 0


def by_hand(folder: Path) -> list[Implementation]:
    """Return the hand-written kernel, if there is a C compiler and a CPU for it."""
    compiler = shutil.which("cc")
    if compiler is None or "avx512bw" not in Path("/proc/cpuinfo").read_text():
        print("no hand-written AVX-512: it needs cc and a CPU with avx512bw")
        return []
    source, library = Path(__file__).with_name("kernel_avx512.c"), folder / "kernel.so"
    flags = ["-O3", "-mavx512f", "-mavx512bw", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, "-o", str(library), str(source)], check=True)
    function = ctypes.CDLL(str(library)).count_steps
    function.restype = ctypes.c_int64
    steps = ctypes.c_int64(BLOCK // layout.POINTS_PER_STEP)

    def count(trials: int) -> int:
        states = (reference.unit_state(JOB, 0) for _ in range(trials))
        return sum(int(function(state.ctypes.data_as(ctypes.c_void_p), steps)) for state in states)

    hits = loader.load("numba").count(JOB, range(1))[0]
    assert count(1) == hits, "the hand-written kernel counts something else"
    return [Implementation("AVX-512 intrinsics in C, by hand", BITS["numba"], BLOCK, count)]


def for_another_cpu(cpu: str, features: str) -> Kernel:
    """Return the kernel compiled for another CPU, in a process of its own."""
    program = (
        "import json, sys; from mpi_pi.kernel import count as kernel; code, name = kernel.object_code();"
        "print(json.dumps([code.hex(), name]))"
    )
    environment = os.environ | {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features}
    out = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    code, name = json.loads(out.stdout)
    return Kernel("numba", CompiledKernel(bytes.fromhex(code), name), target=cpu)


if __name__ == "__main__":
    sys.exit(main())
