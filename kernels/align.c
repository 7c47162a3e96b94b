#include "align.h"

#include <string.h>

#include "dot.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define TLM_X86
#include <immintrin.h>
#endif

typedef void (*gather)(const uint8_t *plane, const tlm_tap_source *source, int32_t lanes, uint8_t *nibbles);

TLM_INLINE void gather_portable(const uint8_t *plane, const tlm_tap_source *source, int32_t lanes,
                                uint8_t *restrict nibbles)
{
    uint8_t word[TLM_MAX_LANES / 2];

    if (!source->run) {
        for (int32_t lane = 0; lane < lanes; ++lane) {
            const int32_t from = source->nibble[lane];
            nibbles[lane] = (uint8_t)(plane[from / 2] >> 4 * (from % 2) & source->pixel[lane]);
        }
        return;
    }
    const uint8_t *from = plane + source->first_byte;
#pragma GCC unroll 1 /* unrolled, GCC makes single bytes of what is one vector */
    for (int32_t i = 0; i < lanes / 2; ++i) {
        word[i] = (uint8_t)((from[i] & source->same[i]) | (from[i] >> 4 & source->lowered[i]) |
                            (from[i + 1] << 4 & source->raised[i]));
    }
    tlm_split(word, lanes, nibbles);
}

#ifdef TLM_X86

/* A block's bytes in the 32 lanes from `first` on that want them, 0 in the others. */
__attribute__((target("avx2"))) TLM_INLINE __m256i from_block(const uint8_t *plane, const tlm_tap_source *source,
                                                              int32_t block, int32_t first)
{
    const __m128i *from = (const __m128i *)(const void *)(plane + source->first_of_block[block]);
    const __m256i *pick = (const __m256i *)(const void *)(source->pick[block] + first);

    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(from)), _mm256_loadu_si256(pick));
}

/* As the chip's aligner does it: each block passes a network of its own. */
__attribute__((target("avx2"))) TLM_INLINE void gather_avx2(const uint8_t *plane, const tlm_tap_source *source,
                                                            int32_t lanes, uint8_t *nibbles)
{
    if (!source->blocks) {
        gather_portable(plane, source, lanes, nibbles);
        return;
    }
    for (int32_t first = 0; first < lanes; first += 32) {
        /* Two without asking: a wrong guess whether there is a second costs more. */
        __m256i bytes = _mm256_or_si256(from_block(plane, source, 0, first), from_block(plane, source, 1, first));
        for (int32_t block = 2; block < source->blocks; ++block) {
            bytes = _mm256_or_si256(bytes, from_block(plane, source, block, first));
        }
        const __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)(source->low + first));
        const __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(source->high + first));
        _mm256_storeu_si256((__m256i *)(void *)(nibbles + first),
                            _mm256_or_si256(_mm256_and_si256(bytes, low),
                                            _mm256_and_si256(_mm256_srli_epi16(bytes, 4), high)));
    }
}

#endif

TLM_INLINE int32_t align(const tlm_aligner_input *input, tlm_step step, int32_t lanes, gather by, uint8_t *nibbles)
{
    const tlm_tap_source *source = &input->taps[step.tap];

    if (source->empty) {
        memset(nibbles, 0, (size_t)lanes);
        return 0;
    }
    if (step.plane_word + source->last_word >= input->amem_words) {
        return TLM_E_AMEM;
    }
    by(input->amem + step.plane_word * (lanes / 2), source, lanes, nibbles);
    return 0;
}

TLM_INLINE int32_t align_lanes(const tlm_aligner_input *input, const tlm_step *steps, int32_t count, int32_t lanes,
                               gather by, uint32_t *activations)
{
    const uint8_t sign = input->geometry->input_signed ? 8 : 0;
    uint8_t four[TLM_DOT_STEPS][TLM_MAX_LANES];

    for (; count > 0; count -= TLM_DOT_STEPS, steps += TLM_DOT_STEPS, activations += lanes) {
        if (count < TLM_DOT_STEPS) {
            memset(four, 0, sizeof four);
        }
        for (int32_t i = 0; i < TLM_DOT_STEPS && i < count; ++i) {
            const int32_t status = align(input, steps[i], lanes, by, four[i]);
            if (status) {
                return status;
            }
        }
        tlm_interleave(four, lanes, sign, sign, activations);
    }
    return 0;
}

/* Constants for compilers, which then make whole vectors. */
TLM_INLINE int32_t align_steps(const tlm_aligner_input *input, const tlm_step *steps, int32_t count, gather by,
                               uint32_t *activations)
{
    switch (input->geometry->lanes) {
    case 8: return align_lanes(input, steps, count, 8, by, activations);
    case 16: return align_lanes(input, steps, count, 16, by, activations);
    case 32: return align_lanes(input, steps, count, 32, by, activations);
    default: return align_lanes(input, steps, count, 64, by, activations);
    }
}

static int32_t align_steps_portable(const tlm_aligner_input *input, const tlm_step *steps, int32_t count,
                                    uint32_t *activations)
{
    return align_steps(input, steps, count, gather_portable, activations);
}

static int32_t align_portable(const tlm_aligner_input *input, tlm_step step, uint8_t *nibbles)
{
    return align(input, step, input->geometry->lanes, gather_portable, nibbles);
}

#ifdef TLM_X86

__attribute__((target("avx2"))) static int32_t align_steps_avx2(const tlm_aligner_input *input, const tlm_step *steps,
                                                                int32_t count, uint32_t *activations)
{
    return align_steps(input, steps, count, gather_avx2, activations);
}

__attribute__((target("avx2"))) static int32_t align_avx2(const tlm_aligner_input *input, tlm_step step,
                                                          uint8_t *nibbles)
{
    return align(input, step, input->geometry->lanes, gather_avx2, nibbles);
}

static bool has_avx2(int32_t simd)
{
    const bool meant = simd == TLM_SIMD_AVX2 || simd == TLM_SIMD_AVX512_VNNI || simd == TLM_SIMD_BEST;
    return meant && tlm_has_simd(TLM_SIMD_AVX2);
}

tlm_align tlm_find_align(int32_t simd) { return has_avx2(simd) ? align_avx2 : align_portable; }

tlm_align_steps tlm_find_align_steps(int32_t simd) { return has_avx2(simd) ? align_steps_avx2 : align_steps_portable; }

#else

tlm_align tlm_find_align(int32_t simd)
{
    (void)simd;
    return align_portable;
}

tlm_align_steps tlm_find_align_steps(int32_t simd)
{
    (void)simd;
    return align_steps_portable;
}

#endif
