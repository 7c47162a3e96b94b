/* Sums of products of bytes, with the host's best instruction set: the inside of mac.c. Nothing here is called from
 * Python.
 */
#ifndef TLM_DOT_H
#define TLM_DOT_H

#include "geometry.h"

/* Steps are taken four at a time, as the instruction sets multiply and add bytes. Sums of 256 steps fit 16 bits even in
 * halves that nothing cancels: 128 * 15 * 15 = 28,800. */
enum { TLM_DOT_STEPS = 4, TLM_DOT_QUADS = 64 };

/* What is added to each weight, for the instruction sets multiply signed by unsigned bytes. */
enum { TLM_WEIGHT_OFFSET = 8 };

/* Nibbles of four steps, one in a byte -> (nibble ^ flip) - offset in the bytes of `count` values, in order. */
TLM_INLINE void tlm_interleave(uint8_t (*restrict nibbles)[TLM_MAX_LANES], int32_t count, uint8_t flip,
                               uint8_t offset, uint32_t *restrict values)
{
    uint8_t *bytes = (uint8_t *)values;

    for (int32_t i = 0; i < count; ++i) {
        bytes[4 * i] = (uint8_t)((nibbles[0][i] ^ flip) - offset);
        bytes[4 * i + 1] = (uint8_t)((nibbles[1][i] ^ flip) - offset);
        bytes[4 * i + 2] = (uint8_t)((nibbles[2][i] ^ flip) - offset);
        bytes[4 * i + 3] = (uint8_t)((nibbles[3][i] ^ flip) - offset);
    }
}

/* acc[column * lanes + lane] += the sum over 4 * quads steps of activation * (weight - offset), in 24 bits. A value is the
 * bytes of four steps: activations[quad * lanes + lane], -8..15, and weights[quad * columns + column], 0..15, with the
 * offset. At most TLM_DOT_QUADS. */
typedef void (*tlm_dot)(const uint32_t *activations, const uint32_t *weights, int32_t quads, int32_t lanes,
                        int32_t columns, int32_t *acc);

/* For one of mac.h's instruction sets; NULL if the host's processor has not got it. */
tlm_dot tlm_find_dot(int32_t simd);

#endif
