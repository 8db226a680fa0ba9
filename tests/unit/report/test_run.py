"""The report on a run: its lines and its JSON, which are interfaces."""

import itertools
import json
import re
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

import mpi_pi
from mpi_pi.model.result import Result, RoundRecord, Timeline
from mpi_pi.model.shard import Shard, Usage
from mpi_pi.model.tally import Sums, Tally
from mpi_pi.report import plain
from mpi_pi.report import run as run_report
from mpi_pi.storage import result_file
from mpi_pi.version import STREAM_VERSION
from support.runs import WORDS, flame
from support.schemas import RUN as SCHEMA
from support.texts import reasons_in, report_text


def test_report_has_the_lines_of_the_published_program() -> None:
    lines = report_text(flame()).splitlines()
    assert "pi = 4*(78538813/100000000) = 3.14155252" in lines
    assert "The value of Pi is estimated to be 3.14155252 using 100000000 points" in lines
    assert "Verification = SUCCESSFUL" in lines
    assert lines[-3:] == ["real\t0m11.485s", "user\t2m1.000s", "sys\t0m0.500s"]


def test_every_line_has_a_name() -> None:
    text = plain.text(run_report.whole(flame()))
    values = dict(re.findall(r"^([^=\n]+?) = (.+)$", text, re.MULTILINE))
    assert values["mpi-pi"] == f"{mpi_pi.__version__}, stream {STREAM_VERSION}"
    assert values["MPI"] == "Open MPI v5.0.11"
    assert values["Ranks"] == "2 on 1 host"
    assert values["Kernel"] == "numba for haswell"
    assert values["Placement"] == WORDS
    assert values["Seed"] == str(2**70)
    assert (values["Trials"], values["Points per trial"]) == ("1000", "100000")
    assert values["Standard error"] == "0.000164"
    # (3.14155252 - pi) / 0.00016422
    assert values["Distance from pi"] == "-0.244 standard errors"
    assert values["Correct digits"] == "5"
    assert values["Rate"] == "5.0000e+09 points/s"
    assert values["Rate per core"].startswith("4.0000e+09 ")
    assert values["Count"].startswith("0.0150 s")
    assert values["Start-up"].startswith("0.3000 s")
    assert "Partial" not in values


def test_hosts_have_a_row_each() -> None:
    text = report_text(flame(ranks=4, hosts=2, threads=3))
    table = [line.split() for line in text.splitlines() if line.startswith(("host", "node"))]
    assert table == [
        ["host", "ranks", "threads", "units", "points", "share", "seconds", "idle", "points/s", "ideal"],
        ["node000", "2", "6", "500", "50000000", "50.0%", "0.0125", "0.0088", "4.5000e+09", "56.2%"],
        ["node001", "2", "6", "500", "50000000", "50.0%", "0.0175", "0.0038", "3.0952e+09", "81.2%"],
    ]


def test_ranks_have_a_row_each_when_asked() -> None:
    text = report_text(flame(ranks=4), per_rank=True)
    assert len(re.findall(r"^ +\d  node000 ", text, re.MULTILINE)) == 4


def test_ten_thousand_ranks_fit_two_screens() -> None:
    text = plain.text(run_report.whole(flame(ranks=10_000, hosts=2500)))
    assert len(text.splitlines()) <= 60
    assert "10000 on 2500 hosts" in text
    assert "10 slowest and 10 fastest of 2500 hosts" in text


def test_wrong_answer_is_reported_as_unverified() -> None:
    wrong = flame(hits=79_000_000)
    assert not wrong.verified
    distance, dispersion = reasons_in(report_text(wrong))
    assert re.fullmatch(
        r"distance from pi: \+112\.\d+ standard errors, p-value 1e-300, limit 2e-07", distance
    )
    assert re.fullmatch(r"dispersion: units differ too much, p-value \S+e-\d+, limit 1e-07", dispersion)
    assert json.loads(result_file.as_json(wrong))["reasons"] == [distance, dispersion]


def test_rank_of_a_wrong_kernel_is_reported() -> None:
    good = flame()
    rows = (good.ranks[0], replace(good.ranks[1], kernel_right=False))
    text = report_text(replace(good, kernels_right=False, ranks=rows))
    assert "Known answers = a kernel got them wrong after the run" in text
    assert reasons_in(text) == [
        "known answers: the kernel of rank 1 on host node000 got them wrong after counting"
    ]


def test_share_counted_before_is_that_of_the_shard() -> None:
    counted = Tally({10**5: Sums(50, 3926990, 842750)})
    work = Shard(flame().job, 2, 4, counted, Usage(runs=2))
    text = plain.text([run_report.head(work, [row.info for row in flame().ranks], "MPI")])
    assert "Shard = 2/4, 250 of 1000 units\n" in text
    assert "Resumed = 2 times, 5000000 of 25000000 points (20 %) counted before\n" in text


def test_partial_answer_is_reported_as_partial() -> None:
    part = replace(flame(), tally=Tally({10**5: Sums(100, 7853981, 1685500)}))
    assert "Partial = 10000000 of 100000000 points (10 %)" in report_text(part)
    assert "Standard error = 0.000519" in report_text(part)
    nothing = replace(flame(), tally=Tally())
    assert "No points were counted" in report_text(nothing)
    assert not nothing.verified


def test_points_that_will_be_counted_again_are_reported() -> None:
    """Of 300 units 100 lie beyond a gap."""
    kept, counted = Sums(200, 15_707_963, 3_371_000), Sums(300, 23_561_944, 5_056_500)
    first, second = flame().ranks
    hits = counted.hits // 2
    result = replace(
        flame(),
        shard=replace(flame().shard, tally=Tally({10**5: kept})),
        tally=Tally({10**5: counted}),
        ranks=(
            replace(first, units=150, points=150 * 10**5, hits=counted.hits - hits),
            replace(second, units=150, points=150 * 10**5, hits=hits),
        ),
        timeline=Timeline(),
    )
    text = report_text(result)
    assert "Partial = 30000000 of 100000000 points (30 %)\n" in text
    assert "In line = 20000000 of 100000000 points (20 %), where another run goes on\n" in text
    assert "Beyond = 10000000 points, which that run counts again: there is a gap before them" in text
    document = json.loads(result_file.as_json(result))
    assert document["tally"] == [{"unit_points": 10**5, **counted._asdict(), "bins": []}]
    assert document["in_line"] == [{"unit_points": 10**5, **kept._asdict(), "bins": []}]
    assert report_text(result_file.of_document(document)) == text
    assert "Beyond" not in report_text(replace(result, shard=replace(result.shard, tally=result.tally)))
    wrong = report_text(replace(result, kernels_right=False))
    assert "which that run counts again: a kernel got known answers wrong\n" in wrong


def test_report_of_resumed_run_tells_which_lines_are_of_all_runs() -> None:
    assert "\nRuns = " not in report_text(flame())
    resumed = replace(flame(), usage=replace(flame().usage, runs=3))
    (line,) = re.findall(r"^Runs = (.*)$", report_text(resumed), re.MULTILINE)
    assert line.startswith(
        "3: of all of them are the answer, Total, Rate, Rate per core, real, user and sys;"
    )


def test_run_that_took_no_time_has_no_rate() -> None:
    """A rank that had nothing to count, and a run without any rounds."""
    idle = flame(ranks=3).ranks[0]
    idle = replace(idle, units=0, points=0, count_seconds=0.0, wait_seconds=0.0)
    one = replace(flame(ranks=3), ranks=(idle, *flame(ranks=3).ranks[1:]))
    text = report_text(one, per_rank=True)
    (rates,) = re.findall(r"^Rate of ranks = (\S+) slowest, .*$", text, re.MULTILINE)
    assert float(rates) == pytest.approx(min(row.points_per_second for row in one.ranks[1:]), rel=1e-4)
    assert "(1 rank had nothing to count)" in text
    assert re.search(r"^ +0 +node000 +1 +0 +0 +0.0000 +0.0000 +- +- ", text, re.MULTILINE)
    none = replace(one, ranks=(idle,), usage=replace(one.usage, round_seconds=0.0, core_seconds=0.0))
    text = report_text(none)
    for name in ("Rate", "Rate per core", "Rate of ranks"):
        assert f"\n{name} = unknown" in text
    assert "e+" not in text


@pytest.mark.parametrize(
    "result",
    [
        flame(),
        flame(ranks=1),
        flame(hits=0),
        replace(flame(), tally=Tally()),
        replace(flame(), tally=Tally({10**5: Sums(2**80, 2**90, 2**100)})),
    ],
)
def test_json_follows_the_schema(result: Result) -> None:
    document = json.loads(result_file.as_json(result))
    jsonschema.validate(document, SCHEMA)
    assert document["spent"]["user_seconds"] == 60.5 * len(result.ranks)
    assert len(document["ranks"]) == len(result.ranks)
    if result.estimate:
        assert document["estimate"]["hits"] == result.tally.hits


def test_schema_requires_all_members_that_it_describes() -> None:
    """The test above then sees what is missing. Members that a later version adds may be."""
    sums = SCHEMA["$defs"]["sums"]  # in old checkpoints without bins, but not in results

    def objects(schema: object) -> None:
        if isinstance(schema, dict):
            if "properties" in schema and "$ref" not in schema:  # else it is required where that is defined
                optional = {"bins"} if schema is sums else set()
                assert set(schema["required"]) | optional == set(schema["properties"])
                assert "additionalProperties" not in schema
            for part in schema.values():
                objects(part)

    objects(SCHEMA)
    assert SCHEMA["properties"]["tally"]["items"] == {"$ref": "#/$defs/sums", "required": ["bins"]}


def test_timeline_stays_small_and_loses_nothing() -> None:
    timeline = Timeline()
    one = np.ones(1000, np.int64)
    for number in range(5000):
        timeline.append(RoundRecord(number, number, number, number + 0.5, 7, one, 2 * one, 3 * one, one))
    assert len(timeline.records) * 1000 <= Timeline.CELLS + 1000
    assert sum(int(row.units.sum()) for row in timeline.records) == 5000 * 1000
    edges = [(row.first_round, row.last_round) for row in timeline.records]
    assert edges[0][0] == 0
    assert edges[-1][1] == 4999
    assert all(a[1] + 1 == b[0] for a, b in itertools.pairwise(edges))
