"""Flips of single bits of the kernel's machine code in memory, and whether the known answers notice.

Each flip has a child process of its own, bounded in time: most flips make it crash, or loop for ever.
"""

import ctypes
import os
import random
import resource
import signal
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mpi_pi.kernel import elf, loader
from mpi_pi.kernel.machine_code import CompiledKernel
from mpi_pi.model.job import BLOCK, Job

FOUND, HARMLESS, MISSED = "found", "harmless", "missed"
UNITS = 50
KNOWN_SECONDS, UNITS_SECONDS, ALL_SECONDS = 0.2, 10.0, 60.0
"""CPU time for the known answers, which take 0.2 ms, and for the units after them; and time by the clock."""


def units() -> list[tuple[Job, range]]:
    """Return units of all kinds: short ones, long ones, those above 2^24 points, any block of any trial."""
    some, found = random.Random(5), []
    for number in range(UNITS):
        if number < UNITS - 6:
            points = int(2 ** some.uniform(0, 17))
        elif number < UNITS - 3:
            points = some.randrange(1 << 18, 1 << 20)
        else:
            points = some.randrange((1 << 24) + 1, (1 << 24) + 100_000)
        blocks = 1 if number % 3 else some.randrange(2, 1 << some.choice([3, 31]))
        seed = some.getrandbits(some.choice([8, 32, 64, 128, 200]))
        job = Job(1 << 60, (blocks - 1) * BLOCK + points, seed)
        last_block = (some.getrandbits(some.choice([4, 31, 33, 59])) + 1) * blocks - 1
        found.append((job, range(last_block, last_block + 1)))
    return found


class Trial:
    """The kernel in memory, and its hits while it is undamaged."""

    def __init__(self) -> None:
        self.kernel = loader.load("numba")
        assert isinstance(self.kernel.count, CompiledKernel)
        loaded = self.kernel.count.image
        assert isinstance(loaded, elf.ExecutableImage)
        self.memory = loaded.memory
        self.units = units()
        self.hits = [self._hits(*unit) for unit in self.units]
        assert self.kernel.self_test()

    def outcomes(self, bits: Iterable[int]) -> Counter[str]:
        """Return how many flips had each outcome; a missed flip also counts by its bit."""
        outcomes: Counter[str] = Counter()
        for bit in bits:
            outcome = self._outcome(bit)
            outcomes[outcome] += 1
            if outcome == MISSED:
                outcomes[f"bit {bit}"] += 1
        return outcomes

    def _outcome(self, bit: int) -> str:
        child = os.fork()
        if not child:
            status = 2
            try:
                status = self._flipped(bit)
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        return {0: HARMLESS, 1 << 8: MISSED}.get(status, FOUND)

    def _flipped(self, bit: int) -> int:
        """Return the exit status of the child: 0 if hits are right, 1 if only they show the flip, else 2."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in (signal.SIGSEGV, signal.SIGILL, signal.SIGBUS, signal.SIGFPE, signal.SIGTRAP):
            signal.signal(number, signal.SIG_DFL)
        for number in (signal.SIGPROF, signal.SIGALRM, signal.SIGABRT):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the last words of the C library
        signal.setitimer(signal.ITIMER_REAL, ALL_SECONDS)
        signal.setitimer(signal.ITIMER_PROF, KNOWN_SECONDS)
        place, mask = elf.address(self.memory) + bit // 8, 1 << bit % 8
        (whole,) = ctypes.string_at(place, 1)
        with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            os.pwrite(memory.fileno(), bytes([whole ^ mask]), place)
        if not self.kernel.self_test():
            return 2
        signal.setitimer(signal.ITIMER_PROF, UNITS_SECONDS)
        right = all(self._hits(*unit) == hits for unit, hits in zip(self.units, self.hits, strict=True))
        return 0 if right else 1

    def _hits(self, job: Job, unit: range) -> int:
        return int(self.kernel.count(job, unit)[0])


def main() -> None:
    """Flip `sys.argv[1]` bits, or all of them, and print what became of them."""
    trial = Trial()
    bits = range(8 * len(trial.memory))
    some = random.Random(0).sample(bits, int(sys.argv[1])) if len(sys.argv) > 1 else bits
    print(dict(trial.outcomes(some)))


if __name__ == "__main__":
    main()
