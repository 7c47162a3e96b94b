/* Sums of products of bytes, with the host's best instruction set: the inside of mac.c. Nothing here is called from
 * Python.
 */
#ifndef TLM_DOT_H
#define TLM_DOT_H

#include "geometry.h"

/* Steps are taken four at a time, as the instruction sets multiply and add bytes. Sums of 256 steps fit 16 bits even in
 * halves that nothing cancels: 128 * 15 * 15 = 28,800. */
enum { TLM_DOT_STEPS = 4, TLM_DOT_QUADS = 64, TLM_DOT_ROOM = 32 };

/* What is added to each weight, for the instruction sets multiply signed by unsigned bytes. */
enum { TLM_WEIGHT_OFFSET = 8 };

/* AMem or WMem words of four steps, of which the first bytes count. */
typedef struct tlm_step_words {
    uint8_t of_step[TLM_DOT_STEPS][TLM_MAX_LANES / 2];
} tlm_step_words;

/* The nibbles of four steps -> (nibble ^ flip) - offset in the bytes of `count` values, in order. There must be room for
 * TLM_DOT_ROOM values: it may write more than `count`. */
void tlm_dot_pack(const tlm_step_words *words, int32_t count, uint8_t flip, uint8_t offset, uint32_t *values);

/* acc[column * lanes + lane] += the sum over 4 * quads steps of activation * (weight - offset), in 24 bits. A value is the
 * bytes of four steps: activations[quad * lanes + lane], -8..15, and weights[quad * columns + column], 0..15, with the
 * offset. At most TLM_DOT_QUADS. */
typedef void (*tlm_dot)(const uint32_t *activations, const uint32_t *weights, int32_t quads, int32_t lanes,
                        int32_t columns, int32_t *acc);

/* For one of mac.h's instruction sets; NULL if the host's processor has not got it. */
tlm_dot tlm_find_dot(int32_t simd);

#endif
