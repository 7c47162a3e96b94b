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
    uint8_t keep[TLM_MAX_LANES]; /* 15, or 0 where the pixel is padding */
    int32_t first_word, last_word;
    bool empty; /* all padding: nothing is read */
} tlm_tap_source;

/* The source of every tap. Returns 0, or TLM_E_WINDOW if a pixel lies outside what AMem holds of the plane. */
int32_t tlm_find_taps(const tlm_geometry *g, int32_t tile, tlm_tap_source *taps);

/* One step's nibbles, 0..15; 0 where the pixel is padding. */
TLM_INLINE void tlm_gather_nibbles(const uint8_t *plane, const tlm_tap_source *source, int32_t lanes, uint8_t *nibbles)
{
    uint8_t bytes[TLM_MAX_LANES];

    for (int32_t lane = 0; lane < lanes; ++lane) {
        bytes[lane] = plane[source->byte_offset[lane]];
    }
    for (int32_t lane = 0; lane < lanes; ++lane) {
        const uint8_t nibble = source->high[lane] ? (uint8_t)(bytes[lane] >> 4) : bytes[lane];
        nibbles[lane] = nibble & source->keep[lane];
    }
}

#endif
