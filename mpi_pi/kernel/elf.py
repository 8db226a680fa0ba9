"""Machine code put where it can run: the little of a linker that an object file made by LLVM for a JIT needs.

LLVM does that as well, but importing it takes a rank 40 ms and 50 MB or more. Such code reaches everything by
absolute addresses, so three kinds of relocation do. Sources: the ELF part of the System V ABI, and its
supplements for x86-64 and for the Arm 64-bit architecture.
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

_ABSOLUTE = {(_X86_64, 1), (_AARCH64, 257)}
_MOVE_WIDE = {(_AARCH64, 264): 0, (_AARCH64, 266): 16, (_AARCH64, 268): 32, (_AARCH64, 269): 48}
"""Instructions that load 16 bits of an address, and which ones."""
_BRANCH = {(_AARCH64, 282), (_AARCH64, 283)}


class LinkError(ValueError):
    """Not an object file of the kind that can be linked here; says why."""


class _Section(NamedTuple):
    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


class ObjectFile:
    """What an object file holds, laid out one section after the other. Raises LinkError."""

    def __init__(self, object_file: bytes) -> None:
        self._file = object_file
        if object_file[:6] != b"\x7fELF\x02\x01":
            raise LinkError("no 64-bit little-endian ELF file")
        try:
            self._machine = struct.unpack_from("<H", object_file, 18)[0]
            (start,), (number,) = (
                struct.unpack_from("<Q", object_file, 40),
                struct.unpack_from("<H", object_file, 60),
            )
            self._sections = [
                _Section(*struct.unpack_from("<IIQQQQIIQQ", object_file, start + 64 * index))
                for index in range(number)
            ]
            self._lay_out()
            self._read_symbols()
        except (struct.error, IndexError, StopIteration) as error:
            raise LinkError(f"damaged: {error}") from error

    def _lay_out(self) -> None:
        self.size = 0
        """In bytes."""
        self._places: dict[int, int] = {}
        """Where each section that is loaded lies, by its index."""
        for index, section in enumerate(self._sections):
            if section.flags & _ALLOCATED:
                if section.type != _PROGRAM_BITS:
                    raise LinkError(f"a section of type {section.type}")
                if section.offset + section.size > len(self._file):
                    raise LinkError("a section beyond the end")
                self.size += -self.size % max(section.alignment, 1)
                self._places[index] = self.size
                self.size += section.size

    def _read_symbols(self) -> None:
        self._symbols: list[int | None] = []
        """Where each symbol lies; None for what is not in the file."""
        self.functions: dict[str, int] = {}
        """Where they lie, by name."""
        table = next(section for section in self._sections if section.type == _SYMBOL_TABLE)
        names = self._sections[table.link].offset
        for offset in range(table.offset, table.offset + table.size, 24):
            name, kind, _, index, value, _ = struct.unpack_from("<IBBHQQ", self._file, offset)
            place = self._places.get(index) if index < _FIRST_RESERVED_SECTION else None
            self._symbols.append(None if place is None else place + value)
            if kind & 15 == 2 and place is not None:
                end = self._file.index(b"\0", names + name)
                self.functions[self._file[names + name : end].decode()] = place + value

    def at(self, base: int) -> bytes:
        """The program as it has to be in memory from the address `base` on, a multiple of all alignments.

        Raises LinkError.
        """
        try:
            return self._relocated(base)
        except (struct.error, IndexError) as error:
            raise LinkError(f"damaged: {error}") from error

    def _relocated(self, base: int) -> bytes:
        memory = bytearray(self.size)
        for index, place in self._places.items():
            section = self._sections[index]
            memory[place : place + section.size] = self._file[section.offset : section.offset + section.size]
        for section in self._sections:
            if section.type == _RELOCATIONS and section.info in self._places:
                for offset in range(section.offset, section.offset + section.size, 24):
                    where, what, addend = struct.unpack_from("<QQq", self._file, offset)
                    target = self._symbols[what >> 32]
                    if target is None:
                        raise LinkError("something is missing that is not in the file")
                    self._relocate(
                        memory, self._places[section.info] + where, what & 0xFFFFFFFF, base, target + addend
                    )
        return bytes(memory)

    def _relocate(self, memory: bytearray, where: int, kind: int, base: int, target: int) -> None:
        """Enter an address, `target` from the base on, where it is needed."""
        if (self._machine, kind) in _ABSOLUTE:
            struct.pack_into("<Q", memory, where, base + target)
            return
        (instruction,) = struct.unpack_from("<I", memory, where)
        if (shift := _MOVE_WIDE.get((self._machine, kind))) is not None:
            part = (base + target) >> shift & 0xFFFF
            instruction = instruction & ~(0xFFFF << 5) | part << 5
        elif (self._machine, kind) in _BRANCH:
            instruction = instruction & ~0x3FFFFFF | (target - where) >> 2 & 0x3FFFFFF
        else:
            raise LinkError(f"relocation {kind} for machine {self._machine}")
        struct.pack_into("<I", memory, where, instruction)


class ExecutableImage:
    """A program in memory; it stays there as long as this object."""

    def __init__(self, program: ObjectFile) -> None:
        """Raises OSError where the system allows no memory to be executed."""
        try:
            self.memory = _made_executable(program)
        except OSError:
            self.memory = _of_a_file(program)
        """The code in place."""
        base = address(self.memory)
        if platform.machine() == "aarch64":  # where instructions have a cache of their own
            clear_cache = getattr(ctypes.CDLL("libgcc_s.so.1"), "__clear_cache", None)
            if clear_cache is None:
                raise OSError(errno.ENOSYS, "nothing to clear the cache of instructions with")
            clear_cache(ctypes.c_void_p(base), ctypes.c_void_p(base + program.size))
        self.addresses = {name: base + place for name, place in program.functions.items()}
        """Of functions, by name."""


# Memory is first written, then executed: never both at once.


def _made_executable(program: ObjectFile) -> memoryview:
    """Memory that is written, and then may be executed, and no longer be written. Raises OSError."""
    memory = mmap.mmap(-1, program.size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    base = address(memoryview(memory))
    memory[: program.size] = program.at(base)
    system = ctypes.CDLL(None, use_errno=True)
    if system.mprotect(ctypes.c_void_p(base), ctypes.c_size_t(program.size), mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "the system refuses to execute memory")
    return memoryview(memory)


def _of_a_file(program: ObjectFile) -> memoryview:
    """A file in memory, mapped like that of a library: only the file is written. Raises OSError.

    This is allowed where memory that once could be written never may be executed: by prctl(PR_SET_MDWE) and
    systemd's MemoryDenyWriteExecute, and by SELinux unless its policy says otherwise.
    """
    if not hasattr(os, "memfd_create"):
        raise OSError(errno.ENOSYS, "the system refuses to execute memory")
    file = os.memfd_create("mpi_pi")
    try:
        os.ftruncate(file, program.size)
        memory = memoryview(mmap.mmap(file, program.size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_EXEC))
        os.pwrite(file, program.at(address(memory)), 0)
    finally:
        os.close(file)
    return memory


def address(memory: memoryview) -> int:
    """Where it begins."""
    return int(np.frombuffer(memory, np.uint8).ctypes.data)
