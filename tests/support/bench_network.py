"""Latency as `mpi-pi bench latency` measures it, beside mpi4py's own benchmarks: `make bench-network`.

On the same two ranks, size by size, in turns. `mpi4py.bench` sends and receives with blocking calls; its
pingpong sends memory that was never written to, all of which is one page of zeros, so that large messages of
it are faster. On a busy machine, give both ranks a core of their own: mpirun -n 2 chrt -f 5 python …
"""

import mpi4py.bench
from mpi4py import MPI

from mpi_pi.mpi.message_times import Effort, Pair

SIZES = (1, 64, 1024, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22)
TURNS = 11
SECONDS = 0.02
"""Time for a size, in each turn."""


def pingpong(comm: MPI.Intracomm, size: int, loops: int) -> float:
    numbers = {"--loop": loops, "--skip": loops // 10, "--loop-large": loops, "--loop-huge": loops}
    numbers |= {"--min-size": size, "--max-size": size}
    words = [str(word) for pair in numbers.items() for word in pair]
    ((_, mean, _),) = mpi4py.bench.pingpong(comm, words, verbose=False)
    return float(mean)


def ringtest(comm: MPI.Intracomm, size: int, loops: int) -> float:
    words = ["--quiet", "--size", str(size), "--loop", str(loops), "--skip", str(loops // 10)]
    return float(mpi4py.bench.ringtest(comm, words) / loops / 2)


def own(comm: MPI.Intracomm, size: int) -> float:
    pair = Pair(comm, 1 - comm.rank, size, lambda: None)
    if comm.rank == 1:
        pair.follow()
        return 0.0
    (row,) = pair.lead(Effort((size,), 5, 2 * SECONDS, 60.0))  # half of it is for the bandwidth
    return min(row.latency_seconds)


def main() -> None:
    comm = MPI.COMM_WORLD
    if comm.rank == 0:
        print("# Size  mpi_pi (us)  pingpong (us)  ringtest (us)  mpi_pi/pingpong  mpi_pi/ringtest")
    for size in SIZES:
        times: dict[str, list[float]] = {"own": [], "pingpong": [], "ringtest": []}
        loops = 10
        for _ in range(TURNS + 1):
            times["own"].append(own(comm, size))
            times["pingpong"].append(pingpong(comm, size, loops))
            times["ringtest"].append(ringtest(comm, size, loops))
            loops = comm.bcast(min(max(int(SECONDS / 2 / times["pingpong"][-1]), 10), 1000))
        if comm.rank == 0:
            # The least of all turns: on a shared machine, means are those of the few longest messages.
            least = {name: min(of[1:]) for name, of in times.items()}
            ratios = [least["own"] / least[other] for other in ("pingpong", "ringtest")]
            shown = "".join(f"{value * 1e6:14.2f}" for value in least.values())
            print(f"{size:8}{shown}{ratios[0]:17.2f}{ratios[1]:17.2f}", flush=True)


if __name__ == "__main__":
    main()
