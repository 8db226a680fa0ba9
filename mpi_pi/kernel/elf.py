"""Loading of object files that LLVM makes for a JIT: the part of a linker that they need.

LLVM loads them as well, but importing it takes a rank 40 ms and 50 MB or more. Such code reaches everything
by absolute addresses, so three kinds of relocation suffice. Sources: the ELF part of the System V ABI, and
its supplements for x86-64 and for the Arm 64-bit architecture.
"""

import ctypes
import errno
import mmap
import os
import platform
import struct
from typing import NamedTuple

import numpy as np

_X86_64, _AARCH64 = 62, 183
_PROGRAM_BITS, _SYMBOL_TABLE, _RELOCATIONS = 1, 2, 4
_ALLOCATED = 2
_FIRST_RESERVED_SECTION = 0xFF00
_FUNCTION = 2

_ABSOLUTE = {(_X86_64, 1), (_AARCH64, 257)}
_MOVE_WIDE = {(_AARCH64, 264): 0, (_AARCH64, 266): 16, (_AARCH64, 268): 32, (_AARCH64, 269): 48}
"""Relocations of instructions that load 16 bits of an address, and the first of these bits."""
_BRANCH = {(_AARCH64, 282), (_AARCH64, 283)}


class LinkError(ValueError):
    """An object file that cannot be loaded here."""


class _Section(NamedTuple):
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int


class ObjectFile:
    """The sections of an object file that are loaded, laid out one after the other. Raises LinkError."""

    size: int
    """Bytes of memory that the sections take."""
    functions: dict[str, int]
    """Offset of each function from the beginning of this memory, by name."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        if content[:6] != b"\x7fELF\x02\x01":
            raise LinkError("no 64-bit little-endian ELF file")
        try:
            self._machine, start, number = struct.unpack_from("<18xH20xQ12xH", content)
            headers = range(start, start + 64 * number, 64)
            self.sections = [
                _Section(*struct.unpack_from("<4xIQ8xQQIIQ8x", content, header)) for header in headers
            ]
            self._lay_out()
            self._read_symbols()
        except (struct.error, IndexError, StopIteration) as error:
            raise LinkError(f"damaged: {error}") from error

    def _lay_out(self) -> None:
        self.size = 0
        self._places: dict[int, int] = {}  # offset in memory of each section that is loaded, by its index
        for index, section in enumerate(self.sections):
            if section.flags & _ALLOCATED:
                if section.type != _PROGRAM_BITS:
                    raise LinkError(f"a section of type {section.type}")
                if section.offset + section.size > len(self._content):
                    raise LinkError("a section beyond the end")
                self.size += -self.size % max(section.alignment, 1)
                self._places[index] = self.size
                self.size += section.size

    def _read_symbols(self) -> None:
        self._symbols: list[int | None] = []  # offset in memory of each; None for what is not in the file
        self.functions = {}
        table = next(section for section in self.sections if section.type == _SYMBOL_TABLE)
        names = self.sections[table.link].offset
        for offset in range(table.offset, table.offset + table.size, 24):
            name, kind, _, index, value, _ = struct.unpack_from("<IBBHQQ", self._content, offset)
            place = self._places.get(index) if index < _FIRST_RESERVED_SECTION else None
            self._symbols.append(None if place is None else place + value)
            if kind & 15 == _FUNCTION and place is not None:
                end = self._content.index(b"\0", names + name)
                self.functions[self._content[names + name : end].decode()] = place + value

    def link(self, base: int) -> bytes:
        """Return the content of memory from the address `base` on, a multiple of all alignments.

        Raises LinkError.
        """
        memory = bytearray(self.size)
        for index, place in self._places.items():
            start, size = self.sections[index].offset, self.sections[index].size
            memory[place : place + size] = self._content[start : start + size]
        try:
            for section in self.sections:
                if section.type == _RELOCATIONS and section.info in self._places:
                    self._apply(section, memory, base)
        except (struct.error, IndexError) as error:
            raise LinkError(f"damaged: {error}") from error
        return bytes(memory)

    def _apply(self, relocations: _Section, memory: bytearray, base: int) -> None:
        for offset in range(relocations.offset, relocations.offset + relocations.size, 24):
            where, what, addend = struct.unpack_from("<QQq", self._content, offset)
            target = self._symbols[what >> 32]
            if target is None:
                raise LinkError("something is missing that is not in the file")
            where += self._places[relocations.info]
            self._relocate(memory, where, what & 0xFFFFFFFF, base, target + addend)

    def _relocate(self, memory: bytearray, where: int, kind: int, base: int, target: int) -> None:
        """Write the address `base + target`, in the form that `kind` asks for, to the offset `where`."""
        relocation = (self._machine, kind)
        if relocation in _ABSOLUTE:
            struct.pack_into("<Q", memory, where, base + target)
            return
        (instruction,) = struct.unpack_from("<I", memory, where)
        if (shift := _MOVE_WIDE.get(relocation)) is not None:
            instruction = instruction & ~(0xFFFF << 5) | ((base + target) >> shift & 0xFFFF) << 5
        elif relocation in _BRANCH:
            instruction = instruction & ~0x3FFFFFF | (target - where) >> 2 & 0x3FFFFFF
        else:
            raise LinkError(f"relocation {kind} for machine {self._machine}")
        struct.pack_into("<I", memory, where, instruction)


class ExecutableImage:
    """An object file in executable memory, which exists as long as this object.

    Raises LinkError, and OSError where the system allows no memory to be executed.
    """

    def __init__(self, object_file: ObjectFile) -> None:
        try:  # memory is written first and executed then: never both at once
            self.memory = _protected_memory(object_file)
        except OSError:
            self.memory = _mapped_file(object_file)
        base = address(self.memory)
        if platform.machine() == "aarch64":  # where instructions have a cache of their own
            clear_cache = getattr(ctypes.CDLL("libgcc_s.so.1"), "__clear_cache", None)
            if clear_cache is None:
                raise OSError(errno.ENOSYS, "nothing to clear the cache of instructions with")
            clear_cache(ctypes.c_void_p(base), ctypes.c_void_p(base + object_file.size))
        self.addresses = {name: base + offset for name, offset in object_file.functions.items()}
        """Address of each function, by name."""


def _protected_memory(object_file: ObjectFile) -> memoryview:
    """Write memory, then make it executable and read-only. Raises OSError."""
    memory = mmap.mmap(-1, object_file.size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    base, size = address(memoryview(memory)), object_file.size
    memory[:size] = object_file.link(base)
    system = ctypes.CDLL(None, use_errno=True)
    if system.mprotect(ctypes.c_void_p(base), ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "the system refuses to execute memory")
    return memoryview(memory)


def _mapped_file(object_file: ObjectFile) -> memoryview:
    """Map a file in memory, as a library is mapped, and write to the file alone. Raises OSError.

    This is allowed where memory that once could be written never may be executed: by prctl(PR_SET_MDWE) and
    systemd's MemoryDenyWriteExecute, and by SELinux unless its policy says otherwise.
    """
    if not hasattr(os, "memfd_create"):
        raise OSError(errno.ENOSYS, "the system refuses to execute memory")
    file, size = os.memfd_create("mpi_pi"), object_file.size
    try:
        os.ftruncate(file, size)
        memory = memoryview(mmap.mmap(file, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_EXEC))
        os.pwrite(file, object_file.link(address(memory)), 0)
    finally:
        os.close(file)
    return memory


def address(memory: memoryview) -> int:
    """Return the address at which memory begins."""
    return int(np.frombuffer(memory, np.uint8).ctypes.data)
