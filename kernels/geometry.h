/* What the header words of one layer say, and where its pixels lie in AMem.
 *
 * Layout (engine.md, "Layout" and "Bands"): an AMem word is `lanes` consecutive pixels of one channel in raster order,
 * 4 bits each, lane 0 in the low nibble of byte 0. AMem holds input_plane_words words of each channel's plane, from its
 * word input_first_word on; channel c's begin at input_base_word + c * input_plane_words. A layer that is no band has
 * all of them. Sizes are always those of the whole layer, and tiles count from first_tile.
 * The lines between the two markers are also what cffi parses: plain declarations only.
 */
#ifndef TLM_GEOMETRY_H
#define TLM_GEOMETRY_H

#include <stdint.h>

/* cdef begin */
enum { TLM_MAX_LANES = 64, TLM_MAX_COLUMNS = 64, TLM_MAX_BANKS = 8 }; /* what the kernels' own arrays hold */
enum { TLM_PATTERN_BITS = 60, TLM_MAX_KERNEL = 63 };                  /* of a pattern word; rows or columns of a kernel */

typedef struct tlm_geometry {
    int32_t lanes, columns;
    int32_t channels, height, width;
    int32_t out_channels, out_height, out_width;
    int32_t kernel_h, kernel_w, stride_y, stride_x, pad_top, pad_left, dilation_y, dilation_x;
    int32_t input_signed;
    int32_t input_base_word;
    int32_t kind;                                /* 0 convolution, 1 max pooling */
    int32_t first_tile, tile_count;              /* what is computed */
    int32_t input_first_word, input_plane_words; /* what AMem holds of each input channel */
} tlm_geometry;

/* AMem words (ascending, distinct, relative to the first that AMem holds of the channel) that hold the in-bounds
 * source pixels of the tile's lanes for tap ky * kernel_w + kx; select[l] = index into words * lanes + source lane, or
 * -1 where the source is padding or the lane lies beyond the last output pixel. Returns the number of words, 0..lanes.
 * select may be NULL. Of an illegal band they may lie outside 0 .. input_plane_words - 1. */
int32_t tlm_tap_words(const tlm_geometry *g, int32_t tile, int32_t tap, int32_t *words, int32_t *select);
/* cdef end */

enum { TLM_ACCUMULATOR_BITS = 24 };

/* Negative return codes of the kernels; tlm/chip/kernels/geometry.py turns them into messages. */
enum { TLM_E_AMEM = -1, TLM_E_WMEM = -2, TLM_E_PATTERN = -3, TLM_E_WINDOW = -4, TLM_E_TAPS = -5, TLM_E_SIMD = -6 };

enum { TLM_CONVOLUTION = 0, TLM_MAX_POOLING = 1 }; /* kinds of layers */

/* AMem words of one channel of height x width pixels. */
static inline int64_t tlm_plane_words(int32_t lanes, int32_t height, int32_t width)
{
    return ((int64_t)height * width + lanes - 1) / lanes;
}

static inline int32_t tlm_groups(const tlm_geometry *g) { return (g->out_channels - 1) / g->columns + 1; }

/* Output channels of a group. */
static inline int32_t tlm_group_channels(const tlm_geometry *g, int32_t group)
{
    const int32_t left = g->out_channels - group * g->columns;
    return left < g->columns ? left : g->columns;
}

/* The input channels of which a group's pattern words speak, the first and their number: all of them, or in max
 * pooling those whose maxima the group makes. */
static inline int32_t tlm_first_channel(const tlm_geometry *g, int32_t group)
{
    return g->kind == TLM_MAX_POOLING ? group * g->columns : 0;
}

static inline int32_t tlm_channels_of_group(const tlm_geometry *g, int32_t group)
{
    return g->kind == TLM_MAX_POOLING ? tlm_group_channels(g, group) : g->channels;
}

static inline int32_t tlm_taps(const tlm_geometry *g) { return g->kernel_h * g->kernel_w; }

/* K: how many of them share a pattern word; 1 where a channel takes several words, in order of taps. */
static inline int32_t tlm_channels_per_pattern(const tlm_geometry *g)
{
    return tlm_taps(g) > TLM_PATTERN_BITS ? 1 : TLM_PATTERN_BITS / tlm_taps(g);
}

static inline int32_t tlm_patterns_per_channel(const tlm_geometry *g)
{
    return (tlm_taps(g) - 1) / TLM_PATTERN_BITS + 1;
}

static inline int32_t tlm_patterns_of_group(const tlm_geometry *g, int32_t group)
{
    return ((tlm_channels_of_group(g, group) - 1) / tlm_channels_per_pattern(g) + 1) * tlm_patterns_per_channel(g);
}

/* Of a channel in pattern word `index` of a group: the word's first tap, how many it has, and its first channel's
 * place in the group. */
static inline int32_t tlm_first_tap_of_pattern(const tlm_geometry *g, int32_t index)
{
    return index % tlm_patterns_per_channel(g) * TLM_PATTERN_BITS;
}

static inline int32_t tlm_taps_of_pattern(const tlm_geometry *g, int32_t index)
{
    const int32_t left = tlm_taps(g) - tlm_first_tap_of_pattern(g, index);
    return left < TLM_PATTERN_BITS ? left : TLM_PATTERN_BITS;
}

static inline int32_t tlm_first_channel_of_pattern(const tlm_geometry *g, int32_t index)
{
    return index / tlm_patterns_per_channel(g) * tlm_channels_per_pattern(g);
}

/* Input channels in pattern word `index` of a group, 0 behind its last. */
static inline int32_t tlm_channels_of_pattern(const tlm_geometry *g, int32_t group, int32_t index)
{
    const int32_t most = tlm_channels_per_pattern(g);
    const int64_t left = tlm_channels_of_group(g, group) - (int64_t)tlm_first_channel_of_pattern(g, index);
    return left < 0 ? 0 : left < most ? (int32_t)left : most;
}

/* No bit is set beyond the word's last channel and tap. */
static inline int tlm_pattern_is_legal(const tlm_geometry *g, int32_t group, int32_t index, uint64_t pattern)
{
    return pattern >> (tlm_channels_of_pattern(g, group, index) * tlm_taps_of_pattern(g, index)) == 0;
}

static inline uint64_t tlm_low_bits(int32_t count) { return (UINT64_C(1) << count) - 1; } /* count <= 60 */

/* bits: not 0. */
static inline int32_t tlm_lowest_bit(uint64_t bits)
{
#if defined(__GNUC__)
    return (int32_t)__builtin_ctzll(bits);
#else
    int32_t i = 0;
    while (!(bits >> i & 1)) i++;
    return i;
#endif
}

/* Two's complement wrap to the accumulator's 24 bits. */
static inline int32_t tlm_wrap24(int32_t value)
{
    return (int32_t)(((uint32_t)value + 0x800000u) & 0xffffffu) - 0x800000;
}

/* Run-time choice among instruction sets where compiler and platform can do it (CMakeLists.txt finds out). */
#ifdef TLM_HAVE_TARGET_CLONES
#define TLM_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define TLM_CLONES
#endif

#if defined(__GNUC__) || defined(__clang__)
#define TLM_INLINE static inline __attribute__((always_inline))
#else
#define TLM_INLINE static inline
#endif

/* A word's nibbles, one in a byte. */
TLM_INLINE void tlm_split(const uint8_t *restrict word, int32_t count, uint8_t *restrict nibbles)
{
#pragma GCC unroll 1 /* unrolled, GCC makes single bytes of what is one vector */
    for (int32_t i = 0; i < count / 2; ++i) {
        nibbles[2 * i] = word[i] & 15;
        nibbles[2 * i + 1] = word[i] >> 4;
    }
}

#endif
