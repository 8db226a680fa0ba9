"""What is to be counted: trials, points and a seed, cut into units.

A **unit** is a pair (trial, block): the atom of work, with a random stream of its own. Units are
numbered trial-major from 0, so that any contiguous range of units is a contiguous range of points.
"""

from dataclasses import dataclass

BLOCK = 1 << 26
"""Points in a block at most. A longer trial is cut into several blocks, the last one shorter."""

MAX_TRIALS = 1 << 64
MAX_POINTS = BLOCK << 32
"""With at most 2^32 blocks a trial, no two units can ever share a spawn key (see `reference`)."""


@dataclass(frozen=True)
class Job:
    """`trials` trials of `points` points each, drawn from the streams of `seed`.

    Raises ValueError, with a message fit for the user, unless 1 <= trials <= 2^64,
    1 <= points <= 2^58 and seed >= 0.
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
        """Points in the job, exact whatever its size."""
        return self.trials * self.points

    @property
    def last_block(self) -> int:
        """Points in the last block of each trial, 1 … BLOCK."""
        return self.points - (self.blocks - 1) * BLOCK

    def trial_and_block(self, unit: int) -> tuple[int, int]:
        """The trial and the block that a unit stands for."""
        return divmod(unit, self.blocks)

    def unit_points(self, unit: int) -> int:
        """Points in a unit, 1 … BLOCK."""
        return self.last_block if unit % self.blocks == self.blocks - 1 else BLOCK

    def shard(self, index: int, of: int) -> range:
        """The units of shard `index` of `of`, counted from 1; all shards together tile the job.

        Raises ValueError, with a message fit for the user, unless 1 <= index <= of <= units.
        """
        if not 1 <= index <= of:
            raise ValueError(f"shards are numbered from 1/{of} to {of}/{of}")
        if of > self.units:
            raise ValueError(f"the job has only {self.units} units of work")
        return range(self.units * (index - 1) // of, self.units * index // of)

    def points_before(self, unit: int) -> int:
        """Points in all units ahead of `unit`; 0 <= unit <= units."""
        trial, block = self.trial_and_block(unit)
        return trial * self.points + block * BLOCK

    def points_in(self, units: range) -> int:
        """Points in a contiguous range of units."""
        return self.points_before(units.stop) - self.points_before(units.start)

    def nearest_unit(self, point: int) -> int:
        """The unit boundary (0 … units) nearest to a position in the job's points."""
        trial, rest = divmod(point, self.points)
        below = trial * self.blocks + rest // BLOCK
        if below >= self.units:
            return self.units
        return below + (2 * (point - self.points_before(below)) >= self.unit_points(below))
