#include "taps.h"

#include <stdlib.h>
#include <string.h>

/* Whether the pixels of all lanes but padding follow each other in memory, and how a word is made of them. */
TLM_INLINE void find_run(const tlm_geometry *g, int64_t amem_words, const int32_t *select, tlm_tap_source *source)
{
    const int32_t bytes = g->lanes / 2;
    const int64_t base = (int64_t)g->input_base_word * bytes, planes = (g->channels - 1) * (int64_t)g->input_plane_words;
    int32_t shift = 0, broken = 0; /* shift: nibbles from the plane's first to lane 0's */

    for (int32_t lane = g->lanes - 1; lane >= 0; --lane) {
        shift = select[lane] < 0 ? shift : source->nibble[lane] - lane;
    }
    for (int32_t lane = 0; lane < g->lanes; ++lane) {
        broken |= (select[lane] >= 0) & (source->nibble[lane] - lane != shift);
    }
    const int32_t odd = shift & 1;
    source->first_byte = (shift - odd) / 2;
    source->run = !broken && base + source->first_byte >= 0 &&
                  base + planes * bytes + source->first_byte + bytes < amem_words * bytes;
    for (int32_t i = 0; i < bytes; ++i) {
        source->same[i] = odd ? 0 : source->keep[i];
        source->lowered[i] = odd ? source->keep[i] & 15 : 0;
        source->raised[i] = odd ? source->keep[i] & 240 : 0;
    }
}

tlm_tap_source *tlm_new_taps(const tlm_geometry *g) { return malloc((size_t)tlm_taps(g) * sizeof(tlm_tap_source)); }

TLM_CLONES
int32_t tlm_find_taps(const tlm_geometry *g, int64_t amem_words, int32_t tile, tlm_tap_source *taps)
{
    const int32_t log_lanes = tlm_lowest_bit((uint64_t)g->lanes);
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
        for (int32_t lane = 0; lane < g->lanes; ++lane) {
            /* Padding lanes point into a word that is read anyway, never outside the tensor. Lanes: a power of two. */
            const int32_t from = select[lane] < 0 ? 0 : select[lane];
            source->nibble[lane] = words[from >> log_lanes] * g->lanes + (from & (g->lanes - 1));
        }
        for (int32_t i = 0; i < g->lanes / 2; ++i) {
            source->keep[i] = (uint8_t)((select[2 * i] < 0 ? 0 : 15) | (select[2 * i + 1] < 0 ? 0 : 240));
        }
        find_run(g, amem_words, select, source);
    }
    return 0;
}
