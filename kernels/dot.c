#include "dot.h"

#include <stddef.h>

#include "mac.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define TLM_X86
#include <immintrin.h>
#elif defined(__aarch64__) && (defined(__linux__) || defined(__APPLE__))
#define TLM_ARM
#include <arm_neon.h>
#ifdef __linux__
#include <sys/auxv.h>
#endif
#endif

/* GCC would write out 64 lanes one by one, and the vectors it makes of them are up to 40 times slower. */
#if defined(__GNUC__) && !defined(__clang__)
#define LOOP_OF_LANES _Pragma("GCC unroll 1")
#else
#define LOOP_OF_LANES
#endif

TLM_INLINE void dot_lanes(const uint32_t *activations, const uint32_t *weights, int32_t quads, int32_t lanes,
                          int32_t columns, int32_t *acc)
{
    int16_t by_step[TLM_DOT_QUADS][TLM_DOT_STEPS][TLM_MAX_LANES]; /* as compilers make vectors of them */

    for (int32_t quad = 0; quad < quads; ++quad) {
        const int8_t *bytes = (const int8_t *)(activations + quad * lanes);
        for (int32_t step = 0; step < TLM_DOT_STEPS; ++step) {
            LOOP_OF_LANES
            for (int32_t lane = 0; lane < lanes; ++lane) {
                by_step[quad][step][lane] = bytes[lane * TLM_DOT_STEPS + step];
            }
        }
    }
    for (int32_t column = 0; column < columns; ++column) {
        int16_t sums[TLM_MAX_LANES] = {0};
        for (int32_t quad = 0; quad < quads; ++quad) {
            const int16_t *a0 = by_step[quad][0], *a1 = by_step[quad][1];
            const int16_t *a2 = by_step[quad][2], *a3 = by_step[quad][3];
            const uint8_t *w = (const uint8_t *)(weights + quad * columns + column);
            const int16_t w0 = (int16_t)(w[0] - TLM_WEIGHT_OFFSET), w1 = (int16_t)(w[1] - TLM_WEIGHT_OFFSET);
            const int16_t w2 = (int16_t)(w[2] - TLM_WEIGHT_OFFSET), w3 = (int16_t)(w[3] - TLM_WEIGHT_OFFSET);
            LOOP_OF_LANES
            for (int32_t lane = 0; lane < lanes; ++lane) {
                sums[lane] = (int16_t)(sums[lane] + a0[lane] * w0 + a1[lane] * w1 + a2[lane] * w2 + a3[lane] * w3);
            }
        }
        for (int32_t lane = 0; lane < lanes; ++lane) {
            acc[column * lanes + lane] = tlm_wrap24(acc[column * lanes + lane] + sums[lane]);
        }
    }
}

/* Constants for compilers, which then make whole vectors. */
static void dot_portable(const uint32_t *activations, const uint32_t *weights, int32_t quads, int32_t lanes,
                         int32_t columns, int32_t *acc)
{
    switch (lanes) {
    case 8: dot_lanes(activations, weights, quads, 8, columns, acc); break;
    case 16: dot_lanes(activations, weights, quads, 16, columns, acc); break;
    case 32: dot_lanes(activations, weights, quads, 32, columns, acc); break;
    default: dot_lanes(activations, weights, quads, 64, columns, acc); break;
    }
}

#ifdef TLM_X86

#define WEIGHTS_256(from) _mm256_set1_epi32((int32_t) * (from))
#define ACTIVATIONS_256(from) _mm256_loadu_si256((const __m256i *)(const void *)(from))
#define STORE_256(to, sums) _mm256_storeu_si256((__m256i *)(void *)(to), sums)

/* Two sums a lane in 16 bits, which become one in the end. */
#define DOT(name) name##_avx2
#define TARGET __attribute__((target("avx2")))
#define SUMS __m256i
#define BYTES __m256i
#define LANES 8
#define ROWS 1 /* of 2 columns GCC keeps a sum in memory: AVX2 has 16 registers */
#define ZERO _mm256_setzero_si256
#define WEIGHTS WEIGHTS_256
#define ACTIVATIONS ACTIVATIONS_256
#define ADD_PRODUCTS(sums, weights, activations)                                                                       \
    _mm256_add_epi16(sums, _mm256_maddubs_epi16(weights, activations))
#define NEGATIVE(sums) _mm256_sub_epi16(ZERO(), sums)
#define STORE(to, sums) STORE_256(to, _mm256_madd_epi16(sums, _mm256_set1_epi16(1)))
#include "dot_vectors.inc"

#define DOT(name) name##_avx512_vnni
#define TARGET __attribute__((target("avx2,avx512vl,avx512vnni")))
#define SUMS __m256i
#define BYTES __m256i
#define LANES 8
#define ROWS 2
#define ZERO _mm256_setzero_si256
#define WEIGHTS WEIGHTS_256
#define ACTIVATIONS ACTIVATIONS_256
#define ADD_PRODUCTS _mm256_dpbusd_epi32
#define NEGATIVE(sums) _mm256_sub_epi32(ZERO(), sums)
#define STORE STORE_256
#include "dot_vectors.inc"

#endif

#ifdef TLM_ARM

#define DOT(name) name##_neon_dot
#ifdef __clang__
#define TARGET __attribute__((target("dotprod")))
#else
#define TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
#define SUMS int32x4_t
#define BYTES int8x16_t
#define LANES 4
#define ROWS 2
#define ZERO() vdupq_n_s32(0)
#define WEIGHTS(from) vreinterpretq_s8_u32(vld1q_dup_u32(from))
#define ACTIVATIONS(from) vreinterpretq_s8_u32(vld1q_u32(from))
#define ADD_PRODUCTS vdotq_s32
#define NEGATIVE vnegq_s32
#define STORE vst1q_s32
#include "dot_vectors.inc"

static int has_neon_dot(void)
{
#ifdef __linux__
    return (getauxval(AT_HWCAP) & (1UL << 20)) != 0; /* HWCAP_ASIMDDP */
#else
    return 1; /* every Apple processor of 64 bits with macOS */
#endif
}

#endif

tlm_dot tlm_find_dot(int32_t simd)
{
    switch (simd) {
    case TLM_SIMD_PORTABLE: return dot_portable;
#ifdef TLM_X86
    case TLM_SIMD_AVX2: return __builtin_cpu_supports("avx2") ? dot_avx2 : NULL;
    case TLM_SIMD_AVX512_VNNI:
        return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni") ? dot_avx512_vnni : NULL;
#endif
#ifdef TLM_ARM
    case TLM_SIMD_NEON_DOT: return has_neon_dot() ? dot_neon_dot : NULL;
#endif
    case TLM_SIMD_BEST:
        while (!tlm_find_dot(--simd)) {
        }
        return tlm_find_dot(simd);
    default: return NULL;
    }
}

int32_t tlm_has_simd(int32_t simd) { return tlm_find_dot(simd) != NULL; }
