/* What mac.c and pool.c share, and nobody else: where each kernel tap finds the pixels of a tile. Nothing here is
 * called from Python.
 */
#ifndef TLM_TAPS_H
#define TLM_TAPS_H

#include <stdbool.h>

#include "geometry.h"

/* Where a tap finds the activations of a tile's lanes, relative to the channel's plane. */
typedef struct tlm_tap_source {
    int32_t byte_offset[TLM_MAX_LANES];
    uint8_t high[TLM_MAX_LANES]; /* 1: the byte's high nibble */
    uint8_t keep[TLM_MAX_LANES / 2]; /* as in a word: 15, or 0 where the pixel is padding */
    int32_t first_word, last_word;
    int32_t first_byte; /* if contiguous: of lane 0, or where it would be */
    bool contiguous;    /* the lanes' pixels follow each other, */
    bool odd;           /* beginning with a high nibble */
    bool empty;         /* all padding: nothing is read */
} tlm_tap_source;

/* Room for the source of every tap, to be freed; NULL if there is no memory left. */
tlm_tap_source *tlm_new_taps(const tlm_geometry *g);

/* The source of every tap. Returns 0, TLM_E_WINDOW if a pixel lies outside what AMem holds of the plane, or TLM_E_TAPS
 * if there are no sources to fill in. */
int32_t tlm_find_taps(const tlm_geometry *g, int32_t tile, tlm_tap_source *taps);

/* One step's word, aligned: lane 0's pixel in the low nibble of byte 0; 0 where it is padding. The channel's plane begins
 * at amem + plane_byte. Contiguous pixels come with their neighbours, which padding masks, if these lie in AMem. */
TLM_INLINE void tlm_gather_word(const uint8_t *amem, int64_t amem_bytes, int64_t plane_byte,
                                const tlm_tap_source *source, int32_t lanes, uint8_t *restrict word)
{
    const uint8_t *plane = amem + plane_byte;
    const int64_t first = plane_byte + source->first_byte;

    if (source->contiguous && first >= 0 && first + lanes / 2 < amem_bytes) {
        const uint8_t *from = amem + first;
        if (source->odd) {
#pragma GCC unroll 1 /* unrolled, GCC makes single bytes of what is one vector */
            for (int32_t i = 0; i < lanes / 2; ++i) {
                word[i] = (uint8_t)(from[i] >> 4 | from[i + 1] << 4) & source->keep[i];
            }
        } else {
#pragma GCC unroll 1
            for (int32_t i = 0; i < lanes / 2; ++i) {
                word[i] = from[i] & source->keep[i];
            }
        }
        return;
    }
    for (int32_t i = 0; i < lanes / 2; ++i) {
        const int32_t low = plane[source->byte_offset[2 * i]] >> 4 * source->high[2 * i] & 15;
        const int32_t high = plane[source->byte_offset[2 * i + 1]] >> 4 * source->high[2 * i + 1] & 15;
        word[i] = (uint8_t)(low | high << 4) & source->keep[i];
    }
}

#endif
