"""Agreement of the kernel's arguments: the table, numba's source, the machine code, the call by ctypes."""

import ctypes
import inspect

import llvmlite.binding as llvm
import pytest

from mpi_pi.kernel import abi, count
from mpi_pi.kernel.loader import Kernel
from mpi_pi.kernel.machine_code import PIECE
from mpi_pi.kernel.seed_pool import seed_pool
from mpi_pi.model.job import BLOCK, Job

LLVM_TYPES = {ctypes.c_uint32: "i32", ctypes.c_uint64: "i64", ctypes.c_int64: "i64", ctypes.c_void_p: "ptr"}


def test_parameters_in_the_source_are_those_of_the_table() -> None:
    assert list(inspect.signature(count._count_units).parameters) == list(abi.ARGUMENTS)


def test_compiled_function_has_the_arguments_of_the_table() -> None:
    text, name = count.assembly()
    function = llvm.parse_assembly(text).get_function(name)
    names = [argument.name for argument in function.arguments]
    assert names == ["retptr", "excinfo", *(f"arg.{name}" for name in abi.ARGUMENTS)]
    types = [
        "ptr" if str(argument.type).endswith("*") else str(argument.type) for argument in function.arguments
    ]
    assert types == [LLVM_TYPES[of_ctypes] for of_ctypes in abi.FUNCTION._argtypes_]
    assert f" i32 @{name}(" in text
    assert abi.FUNCTION._restype_ is ctypes.c_int32


def test_signature_has_the_types_of_the_table() -> None:
    """LLVM tells neither signs nor what pointers point to, so numba's signature is compared."""
    assert list(map(str, count.SIGNATURE.args)) == list(abi.ARGUMENTS.values())
    of_ctypes = [kind.__name__.removeprefix("c_") for kind in abi.FUNCTION._argtypes_]
    by_size = {
        "ulong": "uint64",
        "uint": "uint32",
        "long": "int64",
        "ulonglong": "uint64",
        "longlong": "int64",
    }
    table = ["void_p" if kind.endswith("*") else kind for kind in abi.ARGUMENTS.values()]
    assert [by_size.get(name, name) for name in of_ctypes] == ["void_p", "void_p", *table]


@pytest.fixture
def calls(compiled: Kernel, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """Record the values of each call of the compiled function, by name in the table; units have 7 hits."""
    recorded: list[dict[str, int]] = []

    def record(_result: int, _exception: int, *values: int) -> int:
        call = dict(zip(abi.ARGUMENTS, values, strict=True))
        (ctypes.c_int64 * call["units"]).from_address(call["hits"])[:] = [7] * call["units"]
        recorded.append(call)
        return 0

    monkeypatch.setattr(compiled.count, "function", record)
    return recorded


def test_short_units_are_one_call(compiled: Kernel, calls: list[dict[str, int]]) -> None:
    first = (1 << 40) + 3
    assert compiled.count(Job(1 << 50, 4321, 11), range(first, first + 5)).tolist() == [7] * 5
    (call,) = calls
    expected = {"trial": first, "block": 0, "blocks": 1, "last_block": 4321, "units": 5, "fresh": 1}
    assert call.items() >= (expected | {"constant": seed_pool(11).constant}).items()
    assert len({call[name] for name in ("seed_words", "hits", "pool", "state")}) == 4


def test_long_unit_is_a_call_for_each_piece(compiled: Kernel, calls: list[dict[str, int]]) -> None:
    trial = (1 << 40) + 3
    unit = 3 * trial + 2
    job = Job(1 << 50, 2 * BLOCK + PIECE + 1234, 11)
    assert compiled.count(job, range(unit, unit + 1)).tolist() == [14]
    expected = {"trial": trial, "block": 2, "blocks": 3, "units": 1}
    for call, points, fresh in zip(calls, (PIECE, 1234), (1, 0), strict=True):
        assert call.items() >= (expected | {"last_block": points, "fresh": fresh}).items()
    assert calls[0]["state"] == calls[1]["state"]
