"""The limits that keep the package readable, held by reading its source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpi_pi.system import package

MAX_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 300, 40, 6

MODULES = sorted(package.FOLDER.rglob("*.py"))
ROOMS = sorted(file.parent for file in package.FOLDER.glob("*/__init__.py"))

READ_FIRST = (
    *("model/job", "model/tally"),
    *("parallel/partition", "parallel/load_balancer", "parallel/manager"),
    *("parallel/threads", "parallel/round_loop", "parallel/run"),
)
"""How pi is computed on ranks, in the order that `parallel` gives in its docstring."""

PARALLEL = package.FOLDER / "parallel" / "__init__.py"


def name(file: Path) -> str:
    return str(file.relative_to(package.FOLDER))


def functions(file: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name(file)}:{node.lineno} {node.name}", node


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function without its docstring."""
    docstring = function.body[0] if ast.get_docstring(function) else None
    lines = (function.end_lineno or 0) - function.lineno + 1
    return lines - ((docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0)


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    arguments = function.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return [one for one in names if one not in ("self", "cls")]


def test_package_was_found() -> None:
    assert {"parallel", "kernel", "cli"} <= {room.name for room in ROOMS}


def test_modules_are_short() -> None:
    long = {name(file): lines for file in MODULES if (lines := file.read_text().count("\n")) > MAX_LINES}
    assert long == {}


def test_functions_are_short() -> None:
    found = [function for file in MODULES for function in functions(file)]
    assert {where: lines for where, node in found if (lines := lines_of(node)) > MAX_FUNCTION_LINES} == {}


def test_functions_have_few_parameters() -> None:
    found = [function for file in MODULES for function in functions(file)]
    many = {where: names for where, node in found if len(names := parameters(node)) > MAX_PARAMETERS}
    # The compiled kernel is called through a table of its arguments, which `kernel.abi` has.
    assert {where: names for where, names in many.items() if not where.startswith("kernel/count.py")} == {}


@pytest.mark.parametrize("room", ROOMS, ids=name)
def test_room_is_a_docstring_that_names_its_modules(room: Path) -> None:
    tree = ast.parse((room / "__init__.py").read_text())
    docstring = ast.get_docstring(tree) or ""
    assert len(tree.body) == 1
    modules = {file.stem for file in room.glob("*.py")} | {
        file.parent.name for file in room.glob("*/__init__.py")
    }
    named = {line.split()[0] for line in docstring.splitlines()[2:] if line}
    assert named == modules - {"__init__"}


def test_computation_on_ranks_is_read_in_a_thousand_lines() -> None:
    files = [package.FOLDER / f"{module}.py" for module in READ_FIRST]
    first, rest, *_ = (ast.get_docstring(ast.parse(PARALLEL.read_text())) or "").split("\n\n")
    assert re.findall(r"`model\.(\w+)`", first) == [
        file.stem for file in files if file.parent.name == "model"
    ]
    listed = [line.split()[0] for line in rest.splitlines()]
    assert listed == [file.stem for file in files if file.parent == PARALLEL.parent]
    assert len(files) <= 8
    assert sum(file.read_text().count("\n") for file in files) <= 1000
