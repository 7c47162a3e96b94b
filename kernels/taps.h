/* What mac.c and pool.c share, and nobody else: where each kernel tap finds the pixels of a tile. Nothing here is
 * called from Python.
 */
#ifndef TLM_TAPS_H
#define TLM_TAPS_H

#include <stdbool.h>

#include "geometry.h"

/* Where a tap finds the activations of a tile's lanes, relative to the channel's plane. */
typedef struct tlm_tap_source {
    int32_t nibble[TLM_MAX_LANES];   /* an even one is the low half of a byte */
    uint8_t keep[TLM_MAX_LANES / 2]; /* as in a word: 15, or 0 where the pixel is padding */
    int32_t first_word, last_word;
    bool empty; /* all padding: nothing is read */
    bool run;   /* the lanes' pixels follow each other, and their bytes and one more lie in AMem in every channel */
    /* Of a run: where it begins, and what a byte of the word takes of its own byte, of that one's high nibble, and of
     * the next one's low nibble. */
    int32_t first_byte;
    uint8_t same[TLM_MAX_LANES / 2], lowered[TLM_MAX_LANES / 2], raised[TLM_MAX_LANES / 2];
} tlm_tap_source;

/* Room for the source of every tap, to be freed; NULL if there is no memory left. */
tlm_tap_source *tlm_new_taps(const tlm_geometry *g);

/* The source of every tap. Returns 0, TLM_E_WINDOW if a pixel lies outside what AMem holds of the plane, or TLM_E_TAPS
 * if there are no sources to fill in. */
int32_t tlm_find_taps(const tlm_geometry *g, int64_t amem_words, int32_t tile, tlm_tap_source *taps);

/* One step's word, aligned: lane 0's pixel in the low nibble of byte 0; 0 where it is padding. */
TLM_INLINE void tlm_gather_word(const uint8_t *plane, const tlm_tap_source *source, int32_t lanes, uint8_t *restrict word)
{
    if (source->run) {
        const uint8_t *from = plane + source->first_byte;
#pragma GCC unroll 1 /* unrolled, GCC makes single bytes of what is one vector */
        for (int32_t i = 0; i < lanes / 2; ++i) {
            word[i] = (uint8_t)((from[i] & source->same[i]) | (from[i] >> 4 & source->lowered[i]) |
                                (from[i + 1] << 4 & source->raised[i]));
        }
        return;
    }
    for (int32_t i = 0; i < lanes / 2; ++i) {
        const int32_t first = source->nibble[2 * i], second = source->nibble[2 * i + 1];
        const int32_t low = plane[first / 2] >> 4 * (first % 2) & 15, high = plane[second / 2] >> 4 * (second % 2) & 15;
        word[i] = (uint8_t)(low | high << 4) & source->keep[i];
    }
}

#endif
