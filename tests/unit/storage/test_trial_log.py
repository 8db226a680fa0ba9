"""The trial log, for units that arrive in any portions."""

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.model.job import BLOCK, Job
from mpi_pi.storage.trial_log import TrialLog


@given(st.integers(1, 10), st.sampled_from([1, BLOCK, BLOCK + 1, 3 * BLOCK]), st.data())
def test_lines_are_the_sums_over_each_trial(trials: int, points: int, data: st.DataObject) -> None:
    job = Job(trials, points, 0)
    hits = np.array(data.draw(st.lists(st.integers(0, BLOCK), min_size=job.units, max_size=job.units)))
    cuts = sorted(data.draw(st.lists(st.integers(0, job.units), max_size=6)))
    stream = io.StringIO()
    log = TrialLog(job, stream.write)
    for start, stop in zip([0, *cuts], [*cuts, job.units], strict=True):
        log.add(range(start, stop), hits[start:stop])
    sums = hits.reshape(trials, job.blocks).sum(axis=1)
    expected = "".join(f"{trial},{points},{total}\n" for trial, total in enumerate(sums))
    assert stream.getvalue() == "trial,points,hits\n" + expected
