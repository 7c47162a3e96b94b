/* The aligner: a step's pixels from AMem's bytes to their lanes, portable or by AVX2. What mac.c and pool.c share, and
 * nobody else. Nothing here is called from Python.
 */
#ifndef TLM_ALIGN_H
#define TLM_ALIGN_H

#include "mac.h"
#include "taps.h"

/* The memory, the layer and a tile's sources. */
typedef struct tlm_aligner_input {
    const tlm_geometry *geometry;
    const uint8_t *amem;
    int64_t amem_words;
    const tlm_tap_source *taps;
} tlm_aligner_input;

/* One step: its lanes' pixels, a nibble in each byte, 0 where one is padding. Returns 0, or TLM_E_AMEM if one lies
 * outside. There must be room for TLM_MAX_LANES. */
typedef int32_t (*tlm_align)(const tlm_aligner_input *input, tlm_step step, uint8_t *nibbles);

/* The activations of steps as tlm_dot takes them, four at a time; what is missing to the last four is 0. */
typedef int32_t (*tlm_align_steps)(const tlm_aligner_input *input, const tlm_step *steps, int32_t count,
                                   uint32_t *activations);

/* For one of mac.h's instruction sets that the host has. */
tlm_align tlm_find_align(int32_t simd);
tlm_align_steps tlm_find_align_steps(int32_t simd);

#endif
