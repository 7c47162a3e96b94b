/* When the passes of one layer with resident data happen: engine.md, "Banks" and "A pass", as arithmetic.
 *
 * A pass's fetches are known when it starts and nothing of higher priority delays them, so they form a bank calendar:
 * one byte per sequencer cycle, bit b set where the aligner occupies AMem bank b. The write-back of the pass before is
 * fitted into what the calendar leaves free, residual reads into what the write-back leaves free. Only the last write
 * feeds back, into the next hand-over. Conflicts depend on base addresses only through their differences modulo the
 * banks, so one calendar serves every placement that a compiler tries.
 */
#ifndef TLM_TIMING_H
#define TLM_TIMING_H

#include <stdint.h>

#include "geometry.h"

/* cdef begin */
typedef struct tlm_timing_params {
    int32_t amem_banks;           /* 1 .. 8 */
    int32_t pipeline_cycles;      /* a pass's last sequencer cycle e to its last accumulation; 9 */
    int32_t pass_gap_cycles;      /* idle cycles between hand-over and the next pass; 3 */
    int32_t requantiser_cycles;   /* entry to AMem write, at least 1; 3 */
    int32_t output_base_word;
    int32_t residual_base_word;   /* negative: the layer adds no residual */
    int32_t words_per_channel;    /* 1, or 6 for accumulator output: plane i of channel o is entry slot 6*o + i */
    int32_t output_plane_words;   /* slot j's word of tile t, counted from first_tile, lies at base + j*this + t */
    int32_t residual_plane_words; /* likewise */
} tlm_timing_params;

typedef struct tlm_pass_times {   /* cycles count from the layer's first sequencer cycle, s_0 = 0 */
    int64_t first_cycle;          /* s */
    int64_t last_fetch_cycle;     /* e = s + S - 1: the last sequencer cycle, with or without a fetch */
    int64_t handover_cycle;       /* h */
    int64_t last_write_cycle;
    int32_t steps;
    int32_t fetch_cycles;         /* sum of r over the steps: S = fetch_cycles + empty_pattern_cycles */
    int32_t empty_pattern_cycles; /* pattern words without a valid tap */
    int32_t refused_writes;       /* cycles in which the requantiser stood frozen */
    int32_t refused_residual_reads;
} tlm_pass_times;

typedef struct tlm_placement {
    int32_t input_base_word, output_base_word, residual_base_word; /* the last negative: none */
} tlm_placement;

/* Cycles from s_0 to the last write, inclusive. patterns: [groups][patterns_per_group] 60-bit payloads, bit
 * (c mod K)*kernel_h*kernel_w + tap of word c / K set = step present, K = 60 / (kernel_h*kernel_w); with more than 60
 * taps bit tap % 60 of word c * ceil(taps / 60) + tap / 60. In max pooling c
 * counts within the group, and a last group with fewer words has zeros behind them. passes may be NULL, else it has room
 * for groups*tile_count entries: for each group, for each tile. Returns -1 for a number outside
 * its range, -2 if memory ran out, -3 for a pattern bit beyond the last channel or tap or a wrong number of patterns. */
int64_t tlm_layer_timing(const tlm_geometry *g, const tlm_timing_params *t, const uint64_t *patterns,
                         int32_t patterns_per_group, tlm_pass_times *passes);

/* The same for many placements at once (the base addresses in g and t are ignored): cycles[i] for placements[i].
 * Calendars are built once, and placements with equal differences modulo the banks share the rest, which takes about
 * `columns` operations a pass. Returns 0 or as above. */
int32_t tlm_layer_cycles(const tlm_geometry *g, const tlm_timing_params *t, const uint64_t *patterns,
                         int32_t patterns_per_group, const tlm_placement *placements, int32_t count, int64_t *cycles);
/* cdef end */

#endif
