/* What an instruction set allows: products and additions alone, in registers, in eight chains that do not wait for each
 * other. Prints G multiply-accumulates a second for each set that the host has; the best of 40 tries.
 */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mac.h"

enum { TRIES = 40, ROUNDS = 200000, CHAINS = 8 };

#if defined(__x86_64__)
#include <immintrin.h>
typedef __m256i vector;
#define AVX2(i)                                                                                                        \
    __asm__ volatile("vpmaddubsw %1, %1, %%ymm15\n\tvpaddw %%ymm15, %0, %0" : "+x"(sums[i]) : "x"(value) : "ymm15")
#define VNNI(i) __asm__ volatile("vpdpbusd %1, %1, %0" : "+v"(sums[i]) : "v"(value))
#elif defined(__aarch64__)
#include <arm_neon.h>
typedef int8x16_t vector;
#define NEON(i) __asm__ volatile(".arch armv8.2-a+dotprod\n\tsdot %0.4s, %1.16b, %1.16b" : "+w"(sums[i]) : "w"(value))
#endif

#define DEFINE_ROUNDS(NAME, TARGET, STEP)                                                                              \
    TARGET static void NAME(void)                                                                                      \
    {                                                                                                                  \
        vector sums[CHAINS], value;                                                                                    \
        memset(sums, 0, sizeof sums);                                                                                  \
        memset(&value, 1, sizeof value);                                                                               \
        for (int round = 0; round < ROUNDS; ++round) {                                                                 \
            STEP(0); STEP(1); STEP(2); STEP(3); STEP(4); STEP(5); STEP(6); STEP(7);                                    \
        }                                                                                                              \
    }

#if defined(__x86_64__)
DEFINE_ROUNDS(avx2, __attribute__((target("avx2"))), AVX2)
DEFINE_ROUNDS(avx512_vnni, __attribute__((target("avx512vl,avx512vnni"))), VNNI)
#elif defined(__aarch64__)
DEFINE_ROUNDS(neon_dot, , NEON)
#endif

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void measure(int32_t simd, const char *name, void (*rounds)(void))
{
    double best = 1e9;

    if (!tlm_has_simd(simd)) {
        return;
    }
    for (int i = 0; i < TRIES; ++i) {
        const double begin = seconds();
        rounds();
        const double used = seconds() - begin;
        best = used < best ? used : best;
    }
    printf("%s %.1f\n", name, 1e-9 * ROUNDS * CHAINS * sizeof(vector) / best);
}

int main(void)
{
#if defined(__x86_64__)
    measure(TLM_SIMD_AVX2, "AVX2", avx2);
    measure(TLM_SIMD_AVX512_VNNI, "AVX512_VNNI", avx512_vnni);
#elif defined(__aarch64__)
    measure(TLM_SIMD_NEON_DOT, "NEON_DOT", neon_dot);
#endif
    return 0;
}
