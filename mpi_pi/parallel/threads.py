"""The threads of a rank, which count its share together. The kernel works outside Python's global lock."""

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.job import Job
from mpi_pi.model.tally import Tally
from mpi_pi.parallel.load_balancer import MAX_POINTS, first_chunk

CHUNK_SECONDS = 0.02
"""How often a thread looks up from counting: mpirun gives an interrupted rank 0.2 s for its last word."""

MIN_CHUNK = 16
"""Towards the end of a share chunks become smaller, down to a sixteenth, for all threads to end together."""


class ThreadTeam:
    """`threads` threads, the calling one among them, that count with `kernel`.

    `stop()` is called by the calling thread alone, again and again; once it is true all of them soon stop.
    """

    def __init__(self, kernel: Kernel, threads: int, stop: Callable[[], bool]) -> None:
        self.threads = threads
        self._kernel, self._stop = kernel, stop
        self._stopped = False
        self._points_per_chunk = 1 << 20
        self._pool = None
        if threads > 1:
            from concurrent.futures import ThreadPoolExecutor, wait  # which one thread can do without

            self._pool, self._wait = ThreadPoolExecutor(threads - 1, "count"), wait

    def count(self, job: Job, share: range, keep_hits: bool) -> tuple[Tally, NDArray[np.int64]]:
        """Count a contiguous range of units: the tally of its first ones, all of them unless stopped.

        With it the hits of each of these units, int64, if they are to be kept. Raises what the kernel raises.
        """
        work = _Work(job, share, self.threads, keep_hits)
        if self._pool is None:
            self._work_off(work, self._look)
            return work.done()
        try:
            submit = self._pool.submit
            others = [submit(self._work_off, work, self._is_stopped) for _ in range(self.threads - 1)]
            self._work_off(work, self._look)
            while self._wait(others, CHUNK_SECONDS).not_done:
                self._look()
            for other in others:
                other.result()
        except BaseException:
            self._stopped = True
            raise
        return work.done()

    def close(self) -> None:
        """Let the threads go."""
        if self._pool:
            self._pool.shutdown()

    def _look(self) -> bool:
        self._stopped = self._stopped or self._stop()
        return self._stopped

    def _is_stopped(self) -> bool:
        return self._stopped

    def _work_off(self, work: "_Work", stop: Callable[[], bool]) -> None:
        """What each thread does: take a chunk and count it, until there is none left."""
        try:
            while not stop() and (chunk := work.take(self._points_per_chunk, self._kernel.units_at_once)):
                start = time.perf_counter()
                hits = self._kernel.count(work.job, chunk, stop)
                self._learn(work.job.points_in(chunk), time.perf_counter() - start)
                work.give(chunk, hits)
        except BaseException:
            self._stopped = True
            raise

    def _learn(self, points: int, seconds: float) -> None:
        wanted = int(points / max(seconds, 1e-6) * CHUNK_SECONDS)
        self._points_per_chunk = max(min(wanted, 4 * self._points_per_chunk, MAX_POINTS), 1)


class _Work:
    """A share that is being counted."""

    def __init__(self, job: Job, share: range, threads: int, keep_hits: bool) -> None:
        self.job = job
        self._left, self._threads, self._keep_hits = share, threads, keep_hits
        self._counted: list[tuple[int, int, Tally, NDArray[np.int64]]] = []
        """Of each chunk, in any order: its first unit, its units, and what was counted of it."""
        self._taking = threading.Lock()

    def take(self, points: int, least_units: int) -> range:
        """A chunk of about so many points, and of so many units at least; empty if there is nothing left."""
        with self._taking:
            if not self._left:
                return self._left
            if self._threads > 1:
                fair = self.job.points_in(self._left) // (2 * self._threads)
                points = min(points, max(fair, points // MIN_CHUNK))
            chunk = first_chunk(self.job, self._left, points, least_units)
            self._left = range(chunk.stop, self._left.stop)
            return chunk

    def give(self, chunk: range, hits: NDArray[np.int64]) -> None:
        """Hand in the hits of a chunk, or of its first units."""
        done = range(chunk.start, chunk.start + len(hits))
        tally = Tally.of(self.job, done, hits)
        self._counted.append((chunk.start, len(chunk), tally, hits if self._keep_hits else hits[:0]))

    def done(self) -> tuple[Tally, NDArray[np.int64]]:
        """The tally and the kept hits of all units up to the first one that was not counted."""
        total, hits = Tally(), [np.zeros(0, np.int64)]
        for _, units, tally, hits_of_chunk in sorted(self._counted, key=lambda counted: counted[0]):
            total += tally
            hits.append(hits_of_chunk)
            if tally.units < units:
                break
        return total, np.concatenate(hits)
