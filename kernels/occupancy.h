/* Which SRAM banks the engine takes in which cycle while it runs one layer (or one part of a split layer).
 *
 * A calendar is one byte per cycle, bit b set where the engine accesses bank b. Cycles count from the layer's cycle 0,
 * in which its first header word is read (engine.md, "A pass": a layer starts). Nothing delays the engine but itself,
 * so the calendars are known as soon as the layer's words are; the DMA is fitted into what they leave free (dma.h).
 */
#ifndef TLM_OCCUPANCY_H
#define TLM_OCCUPANCY_H

#include <stdint.h>

#include "geometry.h"
#include "timing.h"

/* cdef begin */
typedef struct tlm_occupancy_params {
    int32_t wmem_banks, imem_banks; /* 1 .. 8 */
    int32_t header_words;           /* read one a cycle from cycle 0 on; 5, or 7 */
    int32_t program_word;           /* IMem word of the first of them */
    int32_t weight_base_word;       /* WMem word of the layer's first step; negative: no WMem word is read */
} tlm_occupancy_params;

typedef struct tlm_occupancy {
    int64_t cycles;                 /* before: room in the calendars; then: cycle 0 to the last write, inclusive */
    uint8_t *amem, *wmem, *imem;    /* [room], zeroed by the caller */
    int64_t *aligner_reads, *write_back, *residual_reads; /* accesses per AMem bank, zeroed by the caller */
    int64_t *weight_reads, *instruction_reads;            /* per WMem and per IMem bank, zeroed by the caller */
} tlm_occupancy;

/* s_0 of a layer: the cycle after the header words, the first group's parameter words and pattern word 0. */
int64_t tlm_first_cycle(const tlm_geometry *g, const tlm_timing_params *t, const tlm_occupancy_params *o);

/* Fill in a layer's calendars and its passes, as tlm_layer_timing does; out->cycles becomes the first cycle + its result.
 * Returns 0, -1 for a number outside its range (so for too little room), -2 if memory ran out, -3 for an illegal pattern. */
int32_t tlm_occupy(const tlm_geometry *g, const tlm_timing_params *t, const tlm_occupancy_params *o,
                   const uint64_t *patterns, int32_t patterns_per_group, tlm_pass_times *passes, tlm_occupancy *out);
/* cdef end */

#endif
