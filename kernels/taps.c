#include "taps.h"

#include <stdlib.h>
#include <string.h>

/* Whether the pixels of all lanes but padding follow each other, and where they begin. */
static void find_run(tlm_tap_source *source, const int32_t *select, int32_t lanes)
{
    int32_t shift = 0, broken = 0; /* shift: nibbles from the plane's first to lane 0's */

    for (int32_t lane = 0; lane < lanes; ++lane) {
        if (select[lane] >= 0) {
            shift = 2 * source->byte_offset[lane] + source->high[lane] - lane;
            break;
        }
    }
    for (int32_t lane = 0; lane < lanes; ++lane) {
        broken |= select[lane] >= 0 && 2 * source->byte_offset[lane] + source->high[lane] - lane != shift;
    }
    source->contiguous = !broken;
    source->odd = shift & 1;
    source->first_byte = (shift - source->odd) / 2;
}

tlm_tap_source *tlm_new_taps(const tlm_geometry *g) { return malloc((size_t)tlm_taps(g) * sizeof(tlm_tap_source)); }

int32_t tlm_find_taps(const tlm_geometry *g, int32_t tile, tlm_tap_source *taps)
{
    int32_t words[TLM_MAX_LANES], select[TLM_MAX_LANES];

    if (!taps) {
        return TLM_E_TAPS;
    }
    for (int32_t tap = 0; tap < tlm_taps(g); ++tap) {
        tlm_tap_source *source = &taps[tap];
        const int32_t count = tlm_tap_words(g, tile, tap, words, select);
        source->empty = count == 0;
        if (source->empty) {
            continue;
        }
        source->first_word = words[0];
        source->last_word = words[count - 1];
        if (source->first_word < 0 || source->last_word >= g->input_plane_words) {
            return TLM_E_WINDOW;
        }
        memset(source->keep, 0, sizeof source->keep);
        for (int32_t lane = 0; lane < g->lanes; ++lane) {
            /* Padding lanes point into a word that is read anyway, never outside the tensor. Lanes: a power of two. */
            const int32_t from = select[lane] < 0 ? 0 : select[lane];
            source->byte_offset[lane] = words[(uint32_t)from / (uint32_t)g->lanes] * (g->lanes / 2) + (from & (g->lanes - 1)) / 2;
            source->high[lane] = (uint8_t)(from % 2);
            source->keep[lane / 2] |= (uint8_t)(select[lane] < 0 ? 0 : 15 << 4 * (lane % 2));
        }
        find_run(source, select, g->lanes);
    }
    return 0;
}
