/* What the header words of one convolution say, and where its pixels lie in AMem.
 *
 * Layout (docs/timing.md, engine.md "Layout"): an AMem word is `lanes` consecutive pixels of one channel in raster
 * order, 4 bits each, lane 0 in the low nibble of byte 0; channel c starts at input_base_word + c * plane words.
 * The lines between the two markers are also what cffi parses: plain declarations only.
 */
#ifndef TLM_GEOMETRY_H
#define TLM_GEOMETRY_H

#include <stdint.h>

/* cdef begin */
typedef struct tlm_geometry {
    int32_t lanes, columns;
    int32_t channels, height, width;
    int32_t out_channels, out_height, out_width;
    int32_t kernel_h, kernel_w, stride_y, stride_x, pad_top, pad_left, dilation_y, dilation_x;
    int32_t input_signed;
    int32_t input_base_word;
} tlm_geometry;

/* AMem words (ascending, distinct, relative to the channel's plane) that hold the in-bounds source pixels of the
 * tile's lanes for tap ky * kernel_w + kx; select[l] = index into words * lanes + source lane, or -1 where the source
 * is padding or the lane lies beyond the last output pixel. Returns the number of words, 0..lanes. */
int32_t tlm_tap_words(const tlm_geometry *g, int32_t tile, int32_t tap, int32_t *words, int32_t *select);
/* cdef end */

enum {
    TLM_MAX_LANES = 64,
    TLM_MAX_COLUMNS = 64,
    TLM_MAX_TAPS = 60, /* bits of a pattern word */
    TLM_ACCUMULATOR_BITS = 24
};

/* Negative return codes of the kernels; tlm/chip/kernels.py turns them into messages. */
enum { TLM_E_AMEM = -1, TLM_E_WMEM = -2, TLM_E_PATTERN = -3 };

/* AMem words of one channel of height x width pixels. */
static inline int64_t tlm_plane_words(int32_t lanes, int32_t height, int32_t width)
{
    return ((int64_t)height * width + lanes - 1) / lanes;
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

#endif
