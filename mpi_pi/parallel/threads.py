"""The threads of a rank, which count its units together. The kernel runs outside of Python's global lock."""

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.job import Job
from mpi_pi.model.tally import Tally
from mpi_pi.parallel.load_balancer import Tuning
from mpi_pi.parallel.partition import first_chunk

CHUNK_SECONDS = 0.02
"""How often a thread polls for a stop: mpirun gives an interrupted rank 0.2 s to report."""

MIN_CHUNK = 16
"""Towards the end chunks become smaller, down to this part, so that all threads end together."""


class ThreadTeam:
    """`threads` threads, the calling one among them, that count with `kernel`.

    `stop()` is called by the calling thread alone, again and again; once it is true all threads soon stop.
    """

    def __init__(self, kernel: Kernel, threads: int, stop: Callable[[], bool]) -> None:
        self.threads = threads
        self._kernel, self._stop = kernel, stop
        self._stopped = False
        self._points_per_chunk = 1 << 20
        self._pool = None
        if threads > 1:
            from concurrent.futures import ThreadPoolExecutor, wait  # not needed by one thread

            self._pool, self._wait = ThreadPoolExecutor(threads - 1, "count"), wait

    def count(self, job: Job, units: range, keep_hits: bool) -> tuple[Tally, NDArray[np.int64]]:
        """Return the tally of the first ones of `units`, of all of them unless stopped.

        With it the hits of each of these units, int64 (units,), empty unless `keep_hits`. Raises whatever the
        kernel raises.
        """
        queue = WorkQueue(job, units, self.threads, keep_hits)
        if self._pool is None:
            self._drain(queue, self._poll)
            return queue.result()
        try:
            others = [
                self._pool.submit(self._drain, queue, lambda: self._stopped) for _ in range(self.threads - 1)
            ]
            self._drain(queue, self._poll)
            while self._wait(others, CHUNK_SECONDS).not_done:
                self._poll()
            for other in others:
                other.result()
        except BaseException:
            self._stopped = True
            raise
        return queue.result()

    def close(self) -> None:
        """End the threads."""
        if self._pool:
            self._pool.shutdown()

    def _poll(self) -> bool:
        self._stopped = self._stopped or self._stop()
        return self._stopped

    def _drain(self, queue: "WorkQueue", stop: Callable[[], bool]) -> None:
        """Count chunks of the queue until it is empty; this is what each thread does."""
        try:
            while not stop() and (chunk := queue.pop(self._points_per_chunk, self._kernel.units_at_once)):
                start = time.perf_counter()
                hits = self._kernel.count(queue.job, chunk, stop)
                self._adapt(queue.job.points_in(chunk), time.perf_counter() - start)
                queue.push(chunk, hits)
        except BaseException:
            self._stopped = True
            raise

    def _adapt(self, points: int, seconds: float) -> None:
        wanted = int(points / max(seconds, 1e-6) * CHUNK_SECONDS)
        self._points_per_chunk = max(min(wanted, 4 * self._points_per_chunk, Tuning.max_points), 1)


class WorkQueue:
    """Units that the threads of a rank are counting, chunk by chunk."""

    def __init__(self, job: Job, units: range, threads: int, keep_hits: bool) -> None:
        self.job = job
        self._remaining, self._threads, self._keep_hits = units, threads, keep_hits
        self._counted: list[tuple[int, int, Tally, NDArray[np.int64]]] = []
        """Of each chunk, in any order: its first unit, its number of units, its tally and the hits kept."""
        self._popping = threading.Lock()

    def pop(self, points: int, min_units: int) -> range:
        """Return a chunk of about so many points, and at least `min_units` units; empty at the end."""
        with self._popping:
            if not self._remaining:
                return self._remaining
            if self._threads > 1:
                fair = self.job.points_in(self._remaining) // (2 * self._threads)
                points = min(points, max(fair, points // MIN_CHUNK))
            chunk = first_chunk(self.job, self._remaining, points, min_units)
            self._remaining = range(chunk.stop, self._remaining.stop)
            return chunk

    def push(self, chunk: range, hits: NDArray[np.int64]) -> None:
        """Record the hits of the units of a chunk, or of its first ones, int64 (units,)."""
        done = range(chunk.start, chunk.start + len(hits))
        tally = Tally.of(self.job, done, hits)
        self._counted.append((chunk.start, len(chunk), tally, hits if self._keep_hits else hits[:0]))

    def result(self) -> tuple[Tally, NDArray[np.int64]]:
        """Return the tally and the kept hits of all units before the first one that was not counted."""
        total, hits = Tally(), [np.zeros(0, np.int64)]
        for _, units, tally, hits_of_chunk in sorted(self._counted, key=lambda counted: counted[0]):
            total += tally
            hits.append(hits_of_chunk)
            if tally.units < units:
                break
        return total, np.concatenate(hits)
