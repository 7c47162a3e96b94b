/* The MAC array: from packed AMem and WMem bytes to 24-bit accumulators.
 *
 * Accumulators are int32 in rows of `lanes`, one row per column (output channel), and wrap like the array's 24-bit
 * two's complement registers; the compiler proves that they never do for a network that it accepts.
 */
#ifndef TLM_MAC_H
#define TLM_MAC_H

#include "geometry.h"

/* cdef begin */
/* What multiplies and adds, among the host's instruction sets; the sums are the same. */
enum { TLM_SIMD_PORTABLE = 0, TLM_SIMD_NEON_DOT, TLM_SIMD_AVX2, TLM_SIMD_AVX512_VNNI, TLM_SIMD_BEST };

/* The aligner's last stage: a word whose nibbles have reached their lanes becomes a vector; select -1 gives fill. */
void tlm_mask(const uint8_t *word, const int32_t *select, int32_t lanes, int32_t is_signed, int32_t fill,
              int8_t *activations);

/* One step: acc[column * lanes + lane] += activations[lane] * weight[column]. */
void tlm_mac_step(int32_t *acc, const int8_t *activations, const uint8_t *weight_word, int32_t lanes,
                  int32_t columns);

typedef struct tlm_step { /* which activations it takes: */
    int64_t plane_word;   /* where the channel begins in AMem, */
    int64_t tap;          /* and which of the kernel */
} tlm_step;

typedef struct tlm_mac_group { /* what the passes of a group have in common, and what it was made of */
    tlm_step *steps;           /* room for channels * taps of them, or for as many as WMem has words */
    uint32_t *weights;         /* as the dot product takes them: room for 4 steps more, each with columns / 4 */
    uint64_t *patterns;        /* [pattern_count] */
    uint8_t *words;            /* of WMem: room for each step's */
    int32_t count;             /* of steps */
    int32_t is_kept;           /* 0: nothing yet */
} tlm_mac_group;

/* One pass: every step of one tile for one group of columns. patterns: 60-bit payloads of the group's pattern words;
 * simd: one of the instruction sets; group: made anew unless the memories hold just what it was made of; acc:
 * [columns][lanes], zeroed here. Returns the number of weight words consumed, or
 * -1 an AMem address beyond amem_words, -2 a WMem address beyond wmem_words, -3 a pattern bit beyond the last
 * channel or tap, a wrong number of pattern words or another kind of layer, -4 a pixel outside what AMem holds of its
 * channel, -6 an instruction set that the host has not got. */
int64_t tlm_mac_pass(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const uint8_t *wmem,
                     int64_t wmem_words, int64_t first_weight_word, const uint64_t *patterns, int32_t pattern_count,
                     int32_t tile, int32_t simd, tlm_mac_group *group, int32_t *acc);

/* A layer: every group, and every tile that is computed, the groups' weight words one after the other from
 * first_weight_word. patterns: [groups][patterns_per_group]; acc: [out_channels][tile_count * lanes]. Returns as
 * tlm_mac_pass. */
int64_t tlm_mac_layer(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const uint8_t *wmem,
                      int64_t wmem_words, int64_t first_weight_word, const uint64_t *patterns,
                      int32_t patterns_per_group, int32_t simd, int32_t *acc);

/* Whether the host has an instruction set. */
int32_t tlm_has_simd(int32_t simd);
/* cdef end */

#endif
