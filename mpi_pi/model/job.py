"""A job: trials x points and a seed, cut into units.

A **unit** is a pair (trial, block), the atom of work, with a random stream of its own. Units are numbered
trial-major from 0, so any contiguous range of units is a contiguous range of points.
"""

from dataclasses import dataclass

BLOCK = 1 << 26
"""Maximum of points in a block. A longer trial has several blocks, of which the last may be shorter."""

MAX_TRIALS = 1 << 64
MAX_POINTS = BLOCK << 32
"""With at most 2^32 blocks a trial, no two units share a spawn key (see `mpi_pi.kernel.reference`)."""


@dataclass(frozen=True)
class Job:
    """`trials` trials of `points` points each, from the random streams of `seed`.

    Raises ValueError, with a message for the user, unless trials is 1 … 2^64, points 1 … 2^58, and seed >= 0.
    """

    trials: int
    points: int
    seed: int

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ValueError("at least 1 trial is needed")
        if self.trials > MAX_TRIALS:
            raise ValueError("at most 2^64 trials are possible")
        if self.points < 1:
            raise ValueError("at least 1 point is needed")
        if self.points > MAX_POINTS:
            raise ValueError("at most 2^58 points a trial are possible: take more trials")
        if self.seed < 0:
            raise ValueError("the seed must be 0 or more")

    @property
    def blocks(self) -> int:
        """Blocks in each trial."""
        return -(-self.points // BLOCK)

    @property
    def units(self) -> int:
        """Units in the job."""
        return self.trials * self.blocks

    @property
    def total_points(self) -> int:
        """Points in the job."""
        return self.trials * self.points

    @property
    def last_block(self) -> int:
        """Points in the last block of each trial, 1 … BLOCK."""
        return self.points - (self.blocks - 1) * BLOCK

    def trial_and_block(self, unit: int) -> tuple[int, int]:
        """Return the trial and the block of a unit."""
        return divmod(unit, self.blocks)

    def unit_points(self, unit: int) -> int:
        """Return the number of points in a unit, 1 … BLOCK."""
        return self.last_block if unit % self.blocks == self.blocks - 1 else BLOCK

    def shard(self, index: int, count: int) -> range:
        """Return the units of shard `index`, 1 … `count`; all shards together tile the job.

        Raises ValueError, with a message for the user, unless 1 <= index <= count <= units.
        """
        if not 1 <= index <= count:
            raise ValueError(f"shards are numbered from 1/{count} to {count}/{count}")
        if count > self.units:
            raise ValueError(f"the job has only {self.units} units of work")
        return range(self.units * (index - 1) // count, self.units * index // count)

    def points_before(self, unit: int) -> int:
        """Return the number of points in all units before `unit`, 0 <= unit <= units."""
        trial, block = self.trial_and_block(unit)
        return trial * self.points + block * BLOCK

    def points_in(self, units: range) -> int:
        """Return the number of points in a contiguous range of units."""
        return self.points_before(units.stop) - self.points_before(units.start)

    def nearest_unit(self, point: int) -> int:
        """Return the unit boundary, 0 … units, nearest to a position in the points of the job."""
        trial, rest = divmod(point, self.points)
        below = trial * self.blocks + rest // BLOCK
        if below >= self.units:
            return self.units
        return below + (2 * (point - self.points_before(below)) >= self.unit_points(below))
