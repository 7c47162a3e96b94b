/* Where each kernel tap finds the pixels of a tile: for mac.c and pool.c, by the aligner of align.h. Nothing here is
 * called from Python.
 */
#ifndef TLM_TAPS_H
#define TLM_TAPS_H

#include <stdbool.h>

#include "geometry.h"

enum { TLM_TAP_BLOCKS = 6, TLM_BLOCK_BYTES = 16 };
enum { TLM_ALIGNMENT = 64 }; /* bytes: a vector that lies across two lines of a cache takes longer to read */

/* Where a tap finds the activations of a tile's lanes, relative to the channel's plane. */
typedef struct tlm_tap_source {
    int32_t last_word;
    bool empty;         /* all padding: nothing is read */
    bool run;           /* the pixels follow each other; their bytes and one more lie in AMem in every channel */
    int32_t first_byte; /* of a run */
    /* Blocks of 16 bytes that hold all pixels together and lie in AMem in every channel; of each the byte that a lane
     * takes, or 128; and 15 where its low or its high half is meant. At least two (of a second that is not needed nobody
     * takes anything), or none, where they would be too many or lie outside. */
    int32_t blocks, first_of_block[TLM_TAP_BLOCKS];
    _Alignas(TLM_ALIGNMENT) uint8_t pick[TLM_TAP_BLOCKS][TLM_MAX_LANES];
    uint8_t low[TLM_MAX_LANES], high[TLM_MAX_LANES];
    int32_t nibble[TLM_MAX_LANES]; /* an even one is the low half of a byte; padding's lies in a word that is read */
    uint8_t pixel[TLM_MAX_LANES];  /* 15, or 0 where it is padding */
    /* Of a run: what two lanes take of their byte, of its high nibble, and of the next one's low. */
    uint8_t same[TLM_MAX_LANES / 2], lowered[TLM_MAX_LANES / 2], raised[TLM_MAX_LANES / 2];
} tlm_tap_source;

/* Room for the source of every tap, to be freed; NULL if there is no memory left. */
tlm_tap_source *tlm_new_taps(const tlm_geometry *g);

/* The source of every tap. Returns 0, TLM_E_WINDOW if a pixel lies outside what AMem holds of the plane, or TLM_E_TAPS
 * if there are no sources to fill in. */
int32_t tlm_find_taps(const tlm_geometry *g, int64_t amem_words, int32_t tile, tlm_tap_source *taps);

#endif
