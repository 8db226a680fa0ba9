"""Steps of a unit as vector instructions: many lanes at once.

Written as a plain loop over the lanes, numba's code reaches about a quarter of this speed: LLVM widens the
16-bit products, and prefers 256-bit registers where 512-bit ones are twice as fast. So the loop is built of
LLVM's vector types, which LLVM legalises to whatever the CPU has: AVX-512, AVX2, SSE2, NEON. Only the shape
of the registers depends on the CPU, and with AVX-512 two instructions that LLVM does not choose by itself.

**Deferred bits.** A step looks at the high 16 bits of the coordinates alone, x and y, and s = x^2 + y^2.
Where |s - 2^30| <= MARGIN (see `layout`), in a ring of 1.35e-4 of the square, a point is *doubtful* and the
exact test decides, with all 32 bits. All of it is one subtraction: d = s - (2^30 - MARGIN), in wrapping 32
bits, is negative for a certain hit, at most 2 MARGIN as an unsigned number for a doubtful point, and larger
for a miss (s <= 2^31 does not wrap far enough to reach the sign).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from mpi_pi.kernel.layout import LANES, MARGIN

AVX512_LANES = 8
"""Lanes in a register of 512 bits."""
CERTAIN = (1 << 30) - MARGIN

i64, u32, u64 = np.int64, np.uint32, np.uint64

I16, I32, I64 = (ir.IntType(bits) for bits in (16, 32, 64))


def register_shape(features: str) -> tuple[int, int]:
    """Return the lanes in a register and the registers worked on together, for LLVM's list of CPU features.

    Two or four independent registers hide the latency of a step; more of them spill.
    """
    if "+avx512bw" in features:
        return AVX512_LANES, 2
    if "+avx2" in features:
        return 4, 2
    return 2, 4


def collects_signs(features: str) -> bool:
    """Return whether one instruction appends the highest bit of a number to another number (VPSHLDD).

    Certain hits are then counted 32 steps at a time, by their number of bits, in half as many instructions.
    """
    return "+avx512vbmi2" in features and "+avx512vpopcntdq" in features


@numba.njit(inline="always")
def rotate_left(word, bits):  # type: ignore[no-untyped-def]  # compiled: numba infers
    """Rotate a uint64 left by 1 … 63 bits."""
    return (word << u64(bits)) | (word >> u64(64 - bits))


@numba.njit(inline="always")
def high_bits(s0, s3):  # type: ignore[no-untyped-def]
    """Return the result of xoshiro256++."""
    return rotate_left(s0 + s3, 23) + s0


@numba.njit(inline="always")
def low_bits(s1):  # type: ignore[no-untyped-def]
    """Return the result of xoshiro256**."""
    return rotate_left(s1 * u64(5), 7) * u64(9)


@numba.njit(inline="always")
def coarse(high, place, axis):  # type: ignore[no-untyped-def]
    """Return the high 16 bits, signed, of coordinate `axis` (0 or 1) of the point at `place` (0 or 1)."""
    return i64(np.int16((high >> u64(32 * place + 16 * axis)) & u64(0xFFFF)))


@numba.njit(inline="always")
def hit(high, low, place):  # type: ignore[no-untyped-def]
    """Return 1 if the point at `place` (0 or 1) of a word hits, by all of its 32 bits; otherwise 0."""
    square = i64(0)
    for axis in range(2):
        fine = i64((low >> u64(32 * place + 16 * axis)) & u64(0xFFFF)) | i64(1)
        coordinate = coarse(high, place, axis) * i64(65536) + fine
        square += coordinate * coordinate
    return i64(square < i64(1 << 62))


def count_doubtful(states, lanes):  # type: ignore[no-untyped-def]
    """Return the hits among the doubtful points of one step; `states` points to uint64 (4, lanes)."""
    hits = i64(0)
    for lane in range(lanes):
        high = high_bits(states[lane], states[3 * lanes + lane])
        for place in range(2):
            x, y = coarse(high, place, 0), coarse(high, place, 1)
            if i64(0) <= x * x + y * y - i64(CERTAIN) <= i64(2 * MARGIN):
                hits += hit(high, low_bits(states[lanes + lane]), place)
    return hits


@intrinsic
def count_steps(typing_context: Any, state: Any, steps: Any) -> tuple[Any, Callable[..., ir.Value]] | None:
    """Advance all lanes by whole steps and return the hits, int64: `count_steps(state, steps)`.

    `state` points to uint64 (4, 32), state word by lane, row by row, and is advanced in place. A call counts
    at most 2^26 points: the counters in the registers have 32 bits.
    """

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> ir.Value:
        return _StepLoop(context, builder).generate(*args)

    return types.int64(state, types.int64), generate


class _StepLoop:
    """Builder of the loop over the steps, for as many lanes at a time as stay in registers meanwhile."""

    def __init__(self, context: Any, builder: ir.IRBuilder) -> None:
        *_, features = context.codegen().magic_tuple()
        self.context, self.builder = context, builder
        self.lanes, self.registers = register_shape(features)
        self.lanes_at_once = self.lanes * self.registers
        self.collects = collects_signs(features)
        self.words = ir.VectorType(I64, self.lanes)
        self.points = ir.VectorType(I32, 2 * self.lanes)

    def generate(self, state: ir.Value, steps: ir.Value) -> ir.Value:
        """Generate the loop over groups of lanes, and in it that over the steps; return the hits."""
        builder, registers = self.builder, range(self.registers)
        hits = cgutils.alloca_once_value(builder, I64(0))
        words = [[cgutils.alloca_once(builder, self.words) for _ in range(4)] for _ in registers]
        certain, signs = ([cgutils.alloca_once(builder, self.points) for _ in registers] for _ in range(2))
        doubtful = cgutils.alloca_once(builder, ir.ArrayType(I64, 4 * self.lanes_at_once))

        with cgutils.for_range_slice(builder, I64(0), I64(LANES), I64(self.lanes_at_once), I64) as (first, _):
            for register in registers:
                for i in range(4):
                    lane = builder.add(first, I64(LANES * i + self.lanes * register))
                    builder.store(self._load(state, lane), words[register][i])
                builder.store(self._constant(self.points, 0), certain[register])

            at_once = I64(32) if self.collects else steps  # as many signs as a number has bits
            with cgutils.for_range_slice(builder, I64(0), steps, at_once, I64) as (done, _):
                left = builder.sub(steps, done)
                for collected in signs:
                    builder.store(self._constant(self.points, 0), collected)
                with cgutils.for_range(builder, self._minimum(left, at_once), intp=I64):
                    self._step(words, signs if self.collects else certain, doubtful, hits)
                for total, collected in zip(certain, signs, strict=True):
                    self._add(total, self._call("ctpop", self.points, builder.load(collected)))

            for register in registers:
                self._add(hits, builder.zext(self._reduce("add", builder.load(certain[register])), I64))
                for i in range(4):
                    lane = builder.add(first, I64(LANES * i + self.lanes * register))
                    self._store(builder.load(words[register][i]), state, lane)
        return builder.load(hits)

    def _step(
        self, words: list[list[ir.Value]], counters: list[ir.Value], doubtful: ir.Value, hits: ir.Value
    ) -> None:
        """Generate one step of all registers; certain hits go to `counters`, exact ones to `hits`."""
        builder = self.builder
        before = [[builder.load(word) for word in register] for register in words]
        least: ir.Value | None = None
        for register, state in enumerate(before):
            d = self._distance(state)
            self._note_sign(d, counters[register])
            least = d if least is None else self._minimum(least, d)
            for word, value in zip(words[register], self._advance(state), strict=True):
                builder.store(value, word)

        is_doubtful = builder.icmp_unsigned("<=", least, self._constant(self.points, 2 * MARGIN))
        with builder.if_then(self._reduce("or", is_doubtful), likely=False):
            pointer = builder.bitcast(doubtful, I64.as_pointer())
            for register, state in enumerate(before):
                for i, word in enumerate(state):
                    self._store(word, pointer, I64(i * self.lanes_at_once + register * self.lanes))
            signature = types.int64(types.CPointer(types.uint64), types.int64)
            arguments = [pointer, I64(self.lanes_at_once)]
            self._add(hits, self.context.compile_internal(builder, count_doubtful, signature, arguments))

    def _note_sign(self, d: ir.Value, counter: ir.Value) -> None:
        """Append the highest bits of d to those collected, or add them up."""
        if self.collects:
            one = self._constant(self.points, 1)
            self.builder.store(self._call("fshl", self.points, self.builder.load(counter), d, one), counter)
        else:
            self._add(counter, self.builder.lshr(d, self._constant(self.points, 31)))

    def _distance(self, state: Sequence[ir.Value]) -> ir.Value:
        """Return the d of the module's docstring, int32, for both points of each word of xoshiro256++."""
        builder = self.builder
        s0, _, _, s3 = state
        word = builder.add(self._rotate_left(builder.add(s0, s3), 23), s0)
        # Squares of 16-bit pairs, added pairwise: LLVM knows this as pmaddwd on x86, smull and addp on ARM.
        halves = builder.bitcast(word, ir.VectorType(I16, 4 * self.lanes))
        wide = builder.sext(halves, ir.VectorType(I32, 4 * self.lanes))
        squares = builder.mul(wide, wide, flags=("nsw",))
        undefined = ir.Constant(squares.type, ir.Undefined)
        places = (ir.Constant(self.points, list(range(axis, 4 * self.lanes, 2))) for axis in range(2))
        x, y = (builder.shuffle_vector(squares, undefined, mask) for mask in places)
        return builder.sub(builder.add(x, y), self._constant(self.points, CERTAIN))

    def _advance(self, state: Sequence[ir.Value]) -> list[ir.Value]:
        """Return the next state of the xoshiro256 engine."""
        builder = self.builder
        s0, s1, s2, s3 = state
        even, odd = builder.xor(s2, s0), builder.xor(s3, s1)
        shifted = builder.shl(s1, self._constant(self.words, 17))
        if self.words.count == AVX512_LANES:
            # Three words take one instruction each, ternary logic with the truth table of an exclusive or.
            # LLVM would rather share `even` and `odd`: one instruction more, of 14 for a register's step.
            three = [(s0, s1, s3), (s1, s2, s0), (s2, s0, shifted)]
            xor = [self._call("x86.avx512.pternlog.q.512", self.words, *words, I32(0x96)) for words in three]
        else:
            xor = [builder.xor(s0, odd), builder.xor(s1, even), builder.xor(even, shifted)]
        return [*xor, self._rotate_left(odd, 45)]

    def _constant(self, vector: ir.VectorType, value: int) -> ir.Constant:
        return ir.Constant(vector, [value] * vector.count)

    def _rotate_left(self, word: ir.Value, bits: int) -> ir.Value:
        left = self.builder.shl(word, self._constant(self.words, bits))
        right = self.builder.lshr(word, self._constant(self.words, 64 - bits))
        return self.builder.or_(left, right)

    def _minimum(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.icmp_unsigned("<", a, b), a, b)

    def _reduce(self, operation: str, vector: ir.Value) -> ir.Value:
        return self._call(f"vector.reduce.{operation}", vector.type.element, vector)

    def _call(self, name: str, result: ir.Type, *operands: ir.Value) -> ir.Value:
        """Call a function of LLVM's own; one without a fixed type is named by that of its first operand."""
        vector = operands[0].type
        suffix = "" if name.startswith("x86") else f".v{vector.count}i{vector.element.width}"
        kind = ir.FunctionType(result, [operand.type for operand in operands])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}{suffix}")
        return self.builder.call(function, operands)

    def _add(self, total: ir.Value, value: ir.Value) -> None:
        self.builder.store(self.builder.add(self.builder.load(total), value), total)

    def _element(self, array: ir.Value, index: ir.Value) -> ir.Value:
        return self.builder.bitcast(self.builder.gep(array, [index]), self.words.as_pointer())

    def _load(self, array: ir.Value, index: ir.Value) -> ir.Value:
        load = self.builder.load(self._element(array, index))
        load.align = 8  # NumPy promises no more
        return load

    def _store(self, value: ir.Value, array: ir.Value, index: ir.Value) -> None:
        self.builder.store(value, self._element(array, index)).align = 8
