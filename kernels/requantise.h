/* The requantiser: accumulators to packed AMem words (docs/timing.md, engine.md "Values"). */
#ifndef TLM_REQUANTISE_H
#define TLM_REQUANTISE_H

#include "geometry.h"

/* cdef begin */
/* One AMem word of one channel:
 * clamp(((acc + bias) * multiplier + residual * residual_multiplier + round) >> shift, low, high), 4 bits a lane.
 * acc: [lanes], 24 bits each; residual_word may be NULL; lanes from valid_lanes on are written as 0. */
void tlm_requantise_word(const int32_t *acc, const uint8_t *residual_word, int32_t residual_signed, int32_t bias,
                         int32_t multiplier, int32_t shift, int32_t residual_multiplier, int32_t low, int32_t high,
                         int32_t lanes, int32_t valid_lanes, uint8_t *out_word);

/* Nibble plane `plane` (0..5, lowest first) of the 24-bit acc + bias. */
void tlm_accumulator_plane(const int32_t *acc, int32_t bias, int32_t plane, int32_t lanes, int32_t valid_lanes,
                           uint8_t *out_word);

/* A layer: acc [out_channels][tiles * lanes] to words [out_channels][tiles]; residual_words is the same image of the
 * residual tensor or NULL; bias, multiplier, shift: [out_channels]. */
void tlm_requantise_layer(const int32_t *acc, const uint8_t *residual_words, int32_t residual_signed,
                          const int32_t *bias, const int32_t *multiplier, const int32_t *shift,
                          int32_t residual_multiplier, int32_t low, int32_t high, int32_t lanes,
                          int32_t out_channels, int64_t pixels, uint8_t *out_words);

/* A layer with accumulator output: words [out_channels][6][tiles]. */
void tlm_accumulator_layer(const int32_t *acc, const int32_t *bias, int32_t lanes, int32_t out_channels,
                           int64_t pixels, uint8_t *out_words);
/* cdef end */

#endif
