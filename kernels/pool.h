/* Max pooling on the MAC array: each accumulator row keeps the largest activation of its channel (engine.md, Values).
 *
 * Accumulators are int32 in rows of `lanes`, one row per column; a row begins at the lowest activation of the input's
 * range, so a window without a pixel gives that. Lanes beyond the last output pixel hold it too.
 */
#ifndef TLM_POOL_H
#define TLM_POOL_H

#include "geometry.h"

/* cdef begin */
/* One step: acc[row * lanes + lane] becomes activations[lane] where that is larger. */
void tlm_pool_step(int32_t *acc, const int8_t *activations, int32_t row, int32_t lanes);

/* One pass: every step of one tile for one group. patterns: 60-bit payloads, those of the group's words and zeros up to
 * pattern_count = the words of a full group; acc: [columns][lanes], overwritten. Returns the number of steps, or
 * -1 an AMem address beyond amem_words, -3 a pattern bit beyond the group's last channel or tap, or a wrong number of
 * pattern words, -4 a pixel outside what AMem holds of its channel. */
int64_t tlm_pool_pass(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const uint64_t *patterns,
                      int32_t pattern_count, int32_t group, int32_t tile, int32_t *acc);

/* Every group, and every tile that is computed. patterns: [groups][patterns_per_group]; acc: [out_channels][tile_count *
 * lanes]. Returns the steps of one tile in all groups, or as tlm_pool_pass. */
int64_t tlm_pool_layer(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const uint64_t *patterns,
                       int32_t patterns_per_group, int32_t *acc);
/* cdef end */

#endif
