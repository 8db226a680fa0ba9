"""Documents with a right checksum and any content: each is read, or refused with a reason."""

import contextlib
import json
import operator
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_pi.bench import document as bench_document
from mpi_pi.burn_in import document as burn_in_document
from mpi_pi.burn_in.diagnosis import findings
from mpi_pi.cli import main as cli
from mpi_pi.errors import UserError
from mpi_pi.model.result import Result, RoundRecord, Timeline
from mpi_pi.model.shard import Usage
from mpi_pi.model.tally import Tally
from mpi_pi.report import burn_in as burn_in_report
from mpi_pi.report import html as html_report
from mpi_pi.report import plain
from mpi_pi.report.bench import document as bench_report
from mpi_pi.report.plots import figure as plot
from mpi_pi.report.sources import Item
from mpi_pi.storage import checkpoint, json_document, result_file, schema
from mpi_pi.system import package
from support import benchmarks, burn_ins, runs
from support.checkpoints import part
from support.launching import soak
from support.mutation import forged, twisted
from support.runs import flame
from support.schemas import RUN
from support.texts import report_text

HERE = package.FOLDER
BENCHMARK = benchmarks.benchmark(ranks=4, hosts=2)
DOCUMENTS = {
    "bench": json_document.dumps(BENCHMARK).encode(),
    "burn-in": burn_in_document.dumps(burn_ins.wrong(1)(burn_ins.healthy(2, 2, steps=3)), []).encode(),
    "report": result_file.as_json(runs.run(2, 2, stopped=True, losses={0: [3], 5: [1]})).encode(),
}


def limit(is_beyond: Callable[[float, float], bool]) -> Callable[..., Iterator[jsonschema.ValidationError]]:
    def check(_validator: Any, end: float, value: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
        if type(value) in (int, float) and is_beyond(value, end):
            yield jsonschema.ValidationError(f"beyond {end}")

    return check


def validator(kind: str) -> Any:
    """Return a validator of jsonschema, for which 1.0 is no integer, and 1e400 is no number."""
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,
            "number": lambda _, value: type(value) in (int, float) and abs(value) < 1e308,
        }
    )
    extend: Callable[..., Any] = jsonschema.validators.extend
    # Its own limits are for numbers by that definition alone, and 10**400 is an integer.
    limits = {"minimum": limit(operator.lt), "maximum": limit(operator.gt)}
    one = extend(jsonschema.Draft202012Validator, limits, type_checker=types)
    referred: referencing.Registry[Any] = referencing.Registry().with_resource(
        "report.schema.json", referencing.Resource.from_contents(RUN)
    )
    return one(json.loads((HERE / "storage" / f"{kind}.schema.json").read_text()), registry=referred)


READERS: dict[str, Callable[[bytes], Any]] = {
    "bench": bench_document.of_content,
    "burn-in": burn_in_document.of_content,
    "report": result_file.of_content,
}


def changed_one_of(documents: dict[str, bytes]) -> st.SearchStrategy[tuple[str, bytes]]:
    return st.sampled_from(sorted(documents)).flatmap(
        lambda kind: st.tuples(st.just(kind), forged(documents[kind]) | twisted(documents[kind]))
    )


CHECKED = DOCUMENTS | {"checkpoint": checkpoint.dumps(part(300)).encode()}
VALIDATORS = {kind: validator(kind) for kind in CHECKED}
changed = changed_one_of(DOCUMENTS)


def complaint(document: Any, kind: str) -> str:
    try:
        schema.check(document, kind)
    except json_document.DocumentError as invalid:
        return str(invalid)
    return ""


@settings(max_examples=60)
@given(changed_one_of(CHECKED))
def test_schema_check_agrees_with_jsonschema(case: tuple[str, bytes]) -> None:
    kind, content = case
    document = json.loads(content)
    found = complaint(document, kind)
    assert bool(found) != VALIDATORS[kind].is_valid(document)
    assert "\n" not in found


def test_schemas_use_no_more_of_json_schema_than_is_checked() -> None:
    checked = {
        *("$ref", "anyOf", "type", "const", "enum", "pattern", "minimum", "maximum"),
        *("properties", "required", "additionalProperties", "items", "minItems", "maxItems"),
    }
    told = {"$schema", "$defs", "title", "description"}

    def rules(rule: Any) -> set[str]:
        if not isinstance(rule, dict):
            return set()
        inner = [*rule.get("properties", {}).values(), *rule.get("$defs", {}).values(), rule.get("items")]
        inner += [rule.get("additionalProperties"), *rule.get("anyOf", ())]
        return set(rule).union(*map(rules, inner))

    for name in CHECKED:
        assert rules(json.loads((HERE / "storage" / f"{name}.schema.json").read_text())) <= checked | told


def told_badly(content: bytes, kind: str, pictures: bool) -> bool:
    """Read a document, and make all reports of it; return whether it was refused in more than a line."""
    try:
        read: Any = READERS[kind](content)
    except json_document.DocumentError as unreadable:
        return len(str(unreadable).splitlines()) != 1 or len(str(unreadable)) > 400
    if kind == "bench":
        assert plain.text(bench_report.blocks(read))
        for pair in ((BENCHMARK, read), (read, BENCHMARK)):
            with contextlib.suppress(UserError):
                benchmarks.compared(*pair)
    elif kind == "burn-in":
        assert plain.text(burn_in_report.blocks(read, findings(read)))
    else:
        assert report_text(read, per_rank=True)
    if pictures:
        assert html_report.page([Item("a", read)])
        with contextlib.suppress(plot.NothingToDraw):
            plot.drawn([Item("a", read)], "svg")
    return False


@given(changed)
def test_document_that_is_read_can_be_reported(case: tuple[str, bytes]) -> None:
    assert not told_badly(case[1], case[0], pictures=False)


@settings(max_examples=2)
@given(changed)
def test_document_that_is_read_can_be_drawn(case: tuple[str, bytes]) -> None:
    assert not told_badly(case[1], case[0], pictures=True)


@soak
@settings(max_examples=1000)
@given(changed)
def test_many_documents_that_are_read_can_be_drawn(case: tuple[str, bytes]) -> None:
    assert not told_badly(case[1], case[0], pictures=True)


def resealed(document: dict[str, Any]) -> str:
    return json_document.dumps({name: value for name, value in document.items() if name != "checksum"})


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"kernel": {"rows": [1]}}, "b: kernel.rows[0]: 1 is no object"),
        ({"jobs": 7}, "b: jobs: 7 is no array or null"),
        ({"noise": {"rows": []}}, "b: noise.quantum_seconds: is missing"),
        ({"machine": None}, "b: machine: null is no object"),
    ],
)
@pytest.mark.parametrize("command", ["plot b -o b.svg", "report b -o b.html", "bench compare b b"])
def test_wrong_benchmark_is_one_line_of_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: dict[str, Any],
    line: str,
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("b").write_text(resealed(BENCHMARK | wrong))
    assert cli.main(command.split()) == 2
    errors = set(capsys.readouterr().err.splitlines())
    assert errors == {f"mpi-pi: error: {line}"}
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_median_other_than_that_of_its_samples_is_refused() -> None:
    document = json.loads(DOCUMENTS["bench"])
    document["jobs"][1]["seconds"]["median"] *= 0.5
    with pytest.raises(json_document.DocumentError, match=r"jobs\[1\].seconds: is not the median"):
        bench_document.of_content(resealed(document).encode())


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', '{"a": NaN}', '{"a": -Infinity}', "[" * 100_000, "1e999"]
)
def test_content_other_than_one_json_document_is_refused(text: str) -> None:
    content = text.replace("{", '{"program": "mpi-pi", "kind": "result", "schema": 4, ', 1)
    with pytest.raises(json_document.DocumentError, match=r"damaged|not written by"):
        result_file.of_content(content.encode())


def resumed(result: Result) -> Result:
    """Return a result as if a run before it had counted its first round."""
    first, *rest = result.timeline.records
    start, number = rest[0].start_seconds, rest[0].first_round
    rows = [
        replace(
            row,
            first_round=row.first_round - number,
            last_round=row.last_round - number,
            start_seconds=row.start_seconds - start,
            end_seconds=row.end_seconds - start,
        )
        for row in rest
    ]
    ranks = [
        replace(
            row,
            units=row.units - int(first.units[row.rank]),
            points=row.points - int(first.points[row.rank]),
            hits=row.hits - row.hits * int(first.points[row.rank]) // row.points,
            count_seconds=sum(int(one.count_nanoseconds[row.rank]) for one in rows) / 1e9,
        )
        for row in result.ranks
    ]
    spent = replace(result.usage, runs=2)
    return replace(
        result,
        ranks=tuple(ranks),
        timeline=Timeline(rows),
        usage=spent,
        shard=replace(result.shard, usage=spent),
    )


def with_fewer_rows(result: Result) -> Result:
    """Return a result whose neighbouring rounds have become one row, as with many ranks and rounds."""
    rows = result.timeline.records
    pairs: list[RoundRecord] = [a + b for a, b in zip(rows[::2], rows[1::2], strict=True)]
    return replace(result, timeline=Timeline(pairs))


def of_nothing() -> Result:
    rows = [replace(row, units=0, points=0, hits=0, count_seconds=0.0) for row in runs.run(2).ranks]
    result = runs.run(2)
    part = replace(result.shard, tally=Tally(), usage=Usage(1))
    return replace(
        result, shard=part, tally=Tally(), usage=part.usage, rounds=0, ranks=tuple(rows), timeline=Timeline()
    )


KINDS: dict[str, Callable[[], Result]] = {
    "flame": flame,
    "of some hosts": lambda: runs.run(3, 2),
    "with a gap": lambda: runs.run(4, stopped=True),
    "resumed": lambda: resumed(runs.run(3)),
    "resumed, with a gap": lambda: resumed(runs.run(3, stopped=True)),
    "with fewer rows": lambda: with_fewer_rows(runs.run(3)),
    "with losses": lambda: runs.run(3, 2, losses={runs.BEFORE_ROUNDS: [1], 3: [3], 8: [4, 5]}),
    "with losses and a gap": lambda: runs.run(3, 2, stopped=True, losses={3: [3]}),
    "resumed, with losses": lambda: resumed(runs.run(3, losses={7: [1]})),
    "with losses and fewer rows": lambda: with_fewer_rows(runs.run(3, losses={3: [1]})),
    "with the loss of rank 0": lambda: runs.run(3, 2, losses={4: [0, 1]}),
    "of nothing": of_nothing,
    "of wrong kernels": lambda: replace(runs.run(2), kernels_right=False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_result_is_read(kind: str) -> None:
    result = KINDS[kind]()
    read = result_file.of_content(result_file.as_json(result).encode())
    assert report_text(read, per_rank=True) == report_text(result, per_rank=True)


def more_hits(document: dict[str, Any]) -> None:
    for tally in ("tally", "in_line"):
        document[tally][0]["hits"] += 1


def other_estimate(document: dict[str, Any]) -> None:
    document["estimate"]["pi"] = "3.14159265"


def unverified(document: dict[str, Any]) -> None:
    document["verified"] = False


def slower_rank(document: dict[str, Any]) -> None:
    document["ranks"][1]["points_per_second"] /= 2


def more_points(document: dict[str, Any]) -> None:
    document["ranks"][1]["points"] += 1000


def other_units(document: dict[str, Any]) -> None:
    document["ranks"][0]["units"] += 1
    document["ranks"][1]["units"] -= 1


def other_round(document: dict[str, Any]) -> None:
    document["rounds"][3]["hits"] -= 1


def lost_round(document: dict[str, Any]) -> None:
    del document["rounds"][2]


def quicker_round(document: dict[str, Any]) -> None:
    document["rounds"][3]["count_seconds"][0] /= 2


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (more_hits, r"estimate.hits: \d+ is not \d+, as the tally has it"),
        (other_estimate, r"estimate.pi: '3.14159265' is not '3.\d+', as the tally has it"),
        (unverified, "verified: is not true, as the tally has it"),
        (slower_rank, r"ranks\[1\].points_per_second: does not follow from the other members"),
        (more_points, r"ranks: have \d+ points together, and tally has \d+"),
        (other_units, r"ranks\[0\]: has \d+ units, and its rounds together \d+"),
        (other_round, r"rounds: have \d+ hits together, and tally has \d+"),
        (lost_round, r"rounds\[2\]: does not follow on the one before"),
        (quicker_round, r"ranks\[0\]: has \d+ count_nanoseconds, and its rounds together \d+"),
    ],
)
def test_result_that_contradicts_itself_is_refused(
    edit: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    document = json.loads(result_file.as_json(runs.run(3)))
    edit(document)
    with pytest.raises(json_document.DocumentError, match=f"^{complaint}$"):
        result_file.of_content(resealed(document).encode())


def test_two_rows_of_one_size_are_refused() -> None:
    document = json.loads(result_file.as_json(runs.run(3)))
    document["tally"] *= 2
    with pytest.raises(json_document.DocumentError, match="two rows in the tally"):
        result_file.of_content(resealed(document).encode())


def test_rows_of_a_kernel_have_as_many_samples() -> None:
    document = json.loads(DOCUMENTS["bench"])
    row = document["kernel"]["rows"][1]["points_per_second"]
    row["samples"] = [row["median"]] * 2
    row["low"] = row["high"] = row["median"]
    with pytest.raises(json_document.DocumentError, match="not as many samples"):
        bench_document.of_content(resealed(document).encode())
