#include "taps.h"

#include <stdlib.h>
#include <string.h>

enum { OUTSIDE = 1 << 30 }; /* a row beyond every input, whatever a tap adds */

/* What a tile's lanes would read if the tap added nothing: row, column, and place in the plane's raster order (modulo
 * 2**32, for those outside). */
typedef struct tile_lanes {
    int32_t y[TLM_MAX_LANES], x[TLM_MAX_LANES];
    uint32_t pixel[TLM_MAX_LANES];
} tile_lanes;

tlm_tap_source *tlm_new_taps(const tlm_geometry *g)
{
    return aligned_alloc(TLM_ALIGNMENT, (size_t)tlm_taps(g) * sizeof(tlm_tap_source));
}

/* lanes, here and below: those of the array, or 32 if it has fewer, for vectors are whole then. */
TLM_INLINE void find_lanes(const tlm_geometry *g, int32_t tile, int32_t lanes, tile_lanes *out)
{
    const int64_t first_pixel = ((int64_t)g->first_tile + tile) * g->lanes;
    int64_t out_y = first_pixel / g->out_width, out_x = first_pixel % g->out_width;

    for (int32_t lane = 0; lane < lanes; ++lane) {
        const int64_t y = out_y * g->stride_y, x = out_x * g->stride_x;
        out->y[lane] = lane < g->lanes && out_y < g->out_height && y < OUTSIDE ? (int32_t)y : OUTSIDE;
        out->x[lane] = x < OUTSIDE ? (int32_t)x : OUTSIDE;
        out->pixel[lane] = (uint32_t)(y * g->width + x);
        if (++out_x == g->out_width) {
            out_x = 0;
            ++out_y;
        }
    }
}

/* How a word is made of a run that begins `shift` nibbles behind the plane's first. */
TLM_INLINE void find_run(const tlm_geometry *g, int64_t amem_words, int32_t shift, tlm_tap_source *source)
{
    const int32_t bytes = g->lanes / 2, odd = shift & 1, first_byte = (shift - odd) / 2;
    const int64_t base = (int64_t)g->input_base_word * bytes, planes = (g->channels - 1) * (int64_t)g->input_plane_words;

    source->first_byte = first_byte;
    source->run &= base + first_byte >= 0 && base + planes * bytes + first_byte + bytes < amem_words * bytes;
    for (int32_t i = 0; i < bytes; ++i) {
        const uint8_t keep = (uint8_t)(source->pixel[2 * i] | source->pixel[2 * i + 1] << 4);
        source->same[i] = odd ? 0 : keep;
        source->lowered[i] = odd ? keep & 15 : 0;
        source->raised[i] = odd ? keep & 240 : 0;
    }
}

/* `byte`: the lowest that is wanted. Each block begins with the lowest that none before it holds, or a little before
 * where the memory ends; what two blocks hold is the same. */
TLM_INLINE void find_blocks(const tlm_geometry *g, int64_t amem_words, int32_t byte, int32_t lanes,
                            tlm_tap_source *source)
{
    const int32_t bytes = g->lanes / 2;
    const int64_t base = (int64_t)g->input_base_word * bytes, planes = (g->channels - 1) * (int64_t)g->input_plane_words;
    const int64_t last_first = amem_words * bytes - TLM_BLOCK_BYTES - base - planes * bytes;

    source->blocks = 0;
    if (base + last_first < 0) {
        return;
    }
    for (uint32_t further = 0; further <= INT32_MAX;) {
        const int32_t first = byte < last_first ? byte : (int32_t)last_first;
        if (source->blocks == TLM_TAP_BLOCKS || byte >= first + TLM_BLOCK_BYTES) {
            source->blocks = 0;
            return;
        }
        uint8_t *pick = source->pick[source->blocks];
        source->first_of_block[source->blocks++] = first;
        further = UINT32_MAX; /* from the block's end to the next byte that is wanted: large if none is */
        for (int32_t lane = 0; lane < lanes; ++lane) {
            const int32_t place = (source->nibble[lane] >> 1) - first;
            const uint32_t behind = (uint32_t)(place - TLM_BLOCK_BYTES);
            pick[lane] = (uint8_t)((uint32_t)place < TLM_BLOCK_BYTES ? place : 128);
            further = behind < further ? behind : further;
        }
        byte = further > INT32_MAX ? byte : first + TLM_BLOCK_BYTES + (int32_t)further;
    }
    if (source->blocks == 1) {
        source->first_of_block[1] = source->first_of_block[0];
        memset(source->pick[source->blocks++], 128, (size_t)lanes);
    }
    for (int32_t lane = 0; lane < lanes; ++lane) {
        source->low[lane] = source->nibble[lane] & 1 ? 0 : source->pixel[lane];
        source->high[lane] = source->nibble[lane] & 1 ? source->pixel[lane] : 0;
    }
}

TLM_INLINE int32_t find_source(const tlm_geometry *g, int64_t amem_words, const tile_lanes *from, int32_t tap,
                               int32_t lanes, tlm_tap_source *source)
{
    const int32_t shift_y = tap / g->kernel_w * g->dilation_y - g->pad_top;
    const int32_t shift_x = tap % g->kernel_w * g->dilation_x - g->pad_left;
    const uint32_t origin = (uint32_t)g->input_first_word * (uint32_t)g->lanes;
    const uint32_t offset = (uint32_t)shift_y * (uint32_t)g->width + (uint32_t)shift_x - origin;
    int32_t lowest = INT32_MAX, highest = INT32_MIN, least_shift = INT32_MAX, largest_shift = INT32_MIN;

    for (int32_t lane = 0; lane < lanes; ++lane) {
        const int32_t y = from->y[lane] + shift_y, x = from->x[lane] + shift_x;
        const int32_t inside = -((y >= 0) & (y < g->height) & (x >= 0) & (x < g->width)); /* all bits or none */
        const int32_t nibble = (int32_t)(from->pixel[lane] + offset);
        const int32_t low = (nibble & inside) | (INT32_MAX & ~inside), high = (nibble & inside) | (INT32_MIN & ~inside);
        source->nibble[lane] = nibble;
        source->pixel[lane] = inside & 15;
        lowest = low < lowest ? low : lowest;
        highest = high > highest ? high : highest;
    }
    source->empty = lowest > highest;
    if (source->empty) {
        return 0;
    }
    if (lowest < 0 || highest >= (int64_t)g->input_plane_words * g->lanes) {
        return TLM_E_WINDOW;
    }
    source->last_word = highest / g->lanes;
    for (int32_t lane = 0; lane < lanes; ++lane) {
        const int32_t inside = -(source->pixel[lane] != 0), shift = source->nibble[lane] - lane;
        const int32_t low = (shift & inside) | (INT32_MAX & ~inside), high = (shift & inside) | (INT32_MIN & ~inside);
        least_shift = low < least_shift ? low : least_shift;
        largest_shift = high > largest_shift ? high : largest_shift;
        source->nibble[lane] = inside ? source->nibble[lane] : lowest;
    }
    source->run = least_shift == largest_shift;
    find_run(g, amem_words, least_shift, source);
    find_blocks(g, amem_words, lowest / 2, lanes, source);
    return 0;
}

/* `lanes` is a constant for compilers, which then make whole vectors. */
TLM_INLINE int32_t find_taps(const tlm_geometry *g, int64_t amem_words, int32_t tile, int32_t lanes,
                             tlm_tap_source *taps)
{
    tile_lanes from;

    find_lanes(g, tile, lanes, &from);
    for (int32_t tap = 0; tap < tlm_taps(g); ++tap) {
        const int32_t status = find_source(g, amem_words, &from, tap, lanes, &taps[tap]);
        if (status) {
            return status;
        }
    }
    return 0;
}

TLM_CLONES
int32_t tlm_find_taps(const tlm_geometry *g, int64_t amem_words, int32_t tile, tlm_tap_source *taps)
{
    if (!taps) {
        return TLM_E_TAPS;
    }
    return g->lanes == 64 ? find_taps(g, amem_words, tile, 64, taps) : find_taps(g, amem_words, tile, 32, taps);
}
