"""The linker of the package against LLVM's, and for Arm against GNU ld."""

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.kernel import count as kernel_count
from mpi_pi.kernel import elf, loader
from mpi_pi.kernel.known_answers import HITS_OF_UNITS
from mpi_pi.kernel.machine_code import CompiledKernel
from mpi_pi.model.job import Job


@functools.cache
def object_code() -> tuple[bytes, str]:
    return kernel_count.object_code()


def known_answers(count: CompiledKernel) -> bool:
    return all(count(job, units).tolist() == list(hits) for job, units, hits in HITS_OF_UNITS)


def test_code_counts_the_same_loaded_by_us_and_by_llvm(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = CompiledKernel(*object_code())

    def refused(program: elf.ObjectFile) -> elf.ExecutableImage:
        raise OSError(13, "no memory may be executed")

    monkeypatch.setattr(elf, "ExecutableImage", refused)
    theirs = CompiledKernel(*object_code())
    assert known_answers(ours)
    assert known_answers(theirs)
    job = Job(trials=50, points=12_345, seed=8)
    assert ours(job, range(50)).tolist() == theirs(job, range(50)).tolist()


def test_cached_code_is_linked_without_llvm() -> None:
    """The fallback to LLVM would hide that our linker does not work."""
    assert isinstance(CompiledKernel(*object_code()).image, elf.ExecutableImage)


def test_code_is_never_writable_and_executable_at_once() -> None:
    loaded = elf.ExecutableImage(elf.ObjectFile(object_code()[0]))
    address = next(iter(loaded.addresses.values()))
    with open("/proc/self/maps") as maps:  # noqa: PTH123
        for line in maps:
            first, _, last = line.split()[0].partition("-")
            if int(first, 16) <= address < int(last, 16):
                assert line.split()[1].startswith("r-x")
                return
    pytest.fail("the code is nowhere")


@given(st.integers(0, 20_000))
def test_half_an_object_file_is_refused(size: int) -> None:
    code = object_code()[0]
    if size >= len(code):
        return
    with pytest.raises(elf.LinkError):
        elf.ObjectFile(code[:size])


@given(st.binary(max_size=200))
def test_content_that_is_no_object_file_is_refused(content: bytes) -> None:
    with pytest.raises(elf.LinkError):
        elf.ObjectFile(content)


def test_relocation_of_another_kind_is_refused() -> None:
    """The machine code of a CPU that we do not know has such relocations."""
    code = bytearray(object_code()[0])
    code[18:20] = (243).to_bytes(2, "little")  # RISC-V
    with pytest.raises(elf.LinkError, match=r"relocation .* for machine 243"):
        elf.ObjectFile(bytes(code)).link(1 << 20)


def test_cache_key_depends_on_versions() -> None:
    """The versions are read from undocumented files: if those change, the key has to follow."""
    import llvmlite
    import numba

    assert numba.__version__.encode() in loader.compiler_version("numba")
    assert llvmlite.__version__.encode() in loader.compiler_version("llvmlite")


def test_relocation_beyond_the_end_is_refused() -> None:
    code = bytearray(object_code()[0])
    program = elf.ObjectFile(bytes(code))
    relocations = next(section for section in program.sections if section.type == 4)
    code[relocations.offset : relocations.offset + 8] = (1 << 40).to_bytes(8, "little")
    with pytest.raises(elf.LinkError, match="damaged"):
        elf.ObjectFile(bytes(code)).link(1 << 20)
