/* The kernel by hand, in AVX-512 intrinsics: what `make bench-kernel` holds the compiled one against.
 * The same stream and the same algorithm, see mpi_pi/kernel/reference.py and mpi_pi/kernel/simd.py. */
#include <immintrin.h>
#include <stdint.h>

#define MARGIN 92684u
#define CERTAIN ((1u << 30) - MARGIN)

static uint64_t rotl(uint64_t x, int k) { return x << k | x >> (64 - k); }

static int64_t hit(uint32_t high, uint32_t low) {
    int64_t x = (int64_t)(int16_t)high * 65536 + (low & 0xffff | 1);
    int64_t y = (int64_t)(int16_t)(high >> 16) * 65536 + (low >> 16 | 1);
    return x * x + y * y < (int64_t)1 << 62;
}

/* Hits of the points in doubt of one step of eight lanes. */
__attribute__((noinline)) static int64_t count_doubtful(__m512i word, __m512i d, __m512i s1) {
    uint32_t high[16], off[16];
    uint64_t state[8];
    int64_t hits = 0;
    _mm512_storeu_si512(high, word);
    _mm512_storeu_si512(off, d);
    _mm512_storeu_si512(state, s1);
    for (int i = 0; i < 16; i++)
        if (off[i] <= 2 * MARGIN) {
            uint64_t low = rotl(state[i / 2] * 5, 7) * 9;
            hits += hit(high[i], (uint32_t)(low >> 32 * (i & 1)));
        }
    return hits;
}

#define LOAD(i) _mm512_loadu_si512(state + 32 * (i) + lane)
#define STORE(i, v) _mm512_storeu_si512(state + 32 * (i) + lane, v)
#define WORD(s0, s3) _mm512_add_epi64(_mm512_rol_epi64(_mm512_add_epi64(s0, s3), 23), s0)
#define XOR3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)
#define ADVANCE(s0, s1, s2, s3)                                    \
    do {                                                           \
        __m512i n0 = XOR3(s0, s3, s1), n1 = XOR3(s1, s2, s0);      \
        s2 = XOR3(s2, s0, _mm512_slli_epi64(s1, 17));              \
        s3 = _mm512_rol_epi64(_mm512_xor_si512(s3, s1), 45);       \
        s0 = n0;                                                   \
        s1 = n1;                                                   \
    } while (0)

/* Hits of `steps` steps of 32 lanes from `state`, uint64 (4, 32), which is advanced. */
int64_t count_steps(uint64_t *state, int64_t steps) {
    const __m512i certain = _mm512_set1_epi32(CERTAIN), doubt = _mm512_set1_epi32(2 * MARGIN);
    int64_t hits = 0;
    for (int group = 0; group < 32; group += 16) {
        int lane = group;
        __m512i a0 = LOAD(0), a1 = LOAD(1), a2 = LOAD(2), a3 = LOAD(3);
        lane += 8;
        __m512i b0 = LOAD(0), b1 = LOAD(1), b2 = LOAD(2), b3 = LOAD(3);
        __m512i sure_a = _mm512_setzero_si512(), sure_b = sure_a;
        for (int64_t step = 0; step < steps; step++) {
            __m512i wa = WORD(a0, a3), wb = WORD(b0, b3);
            __m512i da = _mm512_sub_epi32(_mm512_madd_epi16(wa, wa), certain);
            __m512i db = _mm512_sub_epi32(_mm512_madd_epi16(wb, wb), certain);
            sure_a = _mm512_add_epi32(sure_a, _mm512_srli_epi32(da, 31));
            sure_b = _mm512_add_epi32(sure_b, _mm512_srli_epi32(db, 31));
            if (__builtin_expect(_mm512_cmple_epu32_mask(_mm512_min_epu32(da, db), doubt), 0))
                hits += count_doubtful(wa, da, a1) + count_doubtful(wb, db, b1);
            ADVANCE(a0, a1, a2, a3);
            ADVANCE(b0, b1, b2, b3);
        }
        uint32_t sure[16];
        _mm512_storeu_si512(sure, _mm512_add_epi32(sure_a, sure_b));
        for (int i = 0; i < 16; i++)
            hits += sure[i];
        lane = group;
        STORE(0, a0), STORE(1, a1), STORE(2, a2), STORE(3, a3);
        lane += 8;
        STORE(0, b0), STORE(1, b1), STORE(2, b2), STORE(3, b3);
    }
    return hits;
}
