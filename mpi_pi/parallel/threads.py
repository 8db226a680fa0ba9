"""The threads of a rank, which count its units together: the kernel releases Python's global lock."""

import functools
import operator
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mpi_pi.kernel.loader import Kernel
from mpi_pi.model.job import Job
from mpi_pi.model.tally import Tally
from mpi_pi.parallel.load_balancer import Tuning
from mpi_pi.parallel.partition import first_chunk

CHUNK_SECONDS = 0.02
"""Time between polls for a stop, in which a chunk is counted: mpirun gives an interrupted rank 0.2 s."""

MIN_CHUNK = 16
"""Divisor of a chunk that gives the smallest: they shrink at the end, so that all threads end together."""


class ThreadTeam:
    """`threads` threads, including the calling one, that count with `kernel`.

    Only the calling thread calls `stop()`, repeatedly; once it returns True all threads soon stop.
    """

    def __init__(self, kernel: Kernel, threads: int, stop: Callable[[], bool]) -> None:
        self._kernel, self._threads, self._stop = kernel, threads, stop
        self._stopped = False
        self._points_per_chunk = 1 << 20
        self._pool = None
        if threads > 1:
            from concurrent.futures import ThreadPoolExecutor, wait  # not needed by one thread

            self._pool, self._wait = ThreadPoolExecutor(threads - 1, "count"), wait

    def count(self, job: Job, units: range, keep: Sequence[range] = ()) -> tuple[Tally, NDArray[np.int64]]:
        """Count units from the first one on, all of them unless stopped; return their tally, and kept hits.

        The hits are those of the units in `keep`, ascending ranges within `units`: int64 (units to keep,), or
        fewer after a stop. Raises any exception that the kernel raises.
        """
        queue = WorkQueue(job, units, self._threads, keep)
        others = []
        try:
            if self._pool:
                drain = functools.partial(self._drain, queue, lambda: self._stopped)
                others = [self._pool.submit(drain) for _ in range(self._threads - 1)]
            self._drain(queue, self._poll)
            while others and self._wait(others, CHUNK_SECONDS).not_done:
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
        """Count chunks of the queue until it is empty, in each thread."""
        try:
            while not stop() and (chunk := queue.pop(self._points_per_chunk, self._kernel.units_at_once)):
                start = time.perf_counter()
                hits = self._kernel.count(queue.job, chunk, stop)
                seconds = max(time.perf_counter() - start, 1e-6)
                wanted = int(queue.job.points_in(chunk) / seconds * CHUNK_SECONDS)
                self._points_per_chunk = max(min(wanted, 4 * self._points_per_chunk, Tuning.max_points), 1)
                queue.push(chunk, hits)
        except BaseException:
            self._stopped = True
            raise


class WorkQueue:
    """Units that the threads of a rank count in chunks."""

    def __init__(self, job: Job, units: range, threads: int, keep: Sequence[range] = ()) -> None:
        self.job = job
        self._remaining, self._threads, self._keep = units, threads, keep
        self._counted: list[tuple[int, int, Tally, NDArray[np.int64]]] = []
        """First unit, number of units, tally and kept hits of each chunk, in any order."""
        self._popping = threading.Lock()

    def pop(self, points: int, min_units: int) -> range:
        """Return a chunk of about `points` points, and at least `min_units` units; empty at the end."""
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
        """Record the hits of a chunk, int64 (units,), or of its first units."""
        tally, start = Tally.of(self.job, chunk[: len(hits)], hits), chunk.start
        kept = [hits[max(one.start - start, 0) : max(one.stop - start, 0)] for one in self._keep]
        self._counted.append((start, len(chunk), tally, np.concatenate([hits[:0], *kept])))

    def result(self) -> tuple[Tally, NDArray[np.int64]]:
        """Return the tally and the kept hits of all units before the first one that was not counted."""
        total, hits = Tally(), [np.zeros(0, np.int64)]
        for _, units, tally, hits_of_chunk in sorted(self._counted, key=operator.itemgetter(0)):
            total += tally
            hits.append(hits_of_chunk)
            if tally.units < units:
                break
        return total, np.concatenate(hits)
