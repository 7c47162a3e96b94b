/* What timing.c and occupancy.c share, and nobody else: a layer's fixed numbers, the calendar of a pass's fetches and
 * the write-back that is fitted into it. Nothing here is called from Python.
 */
#ifndef TLM_CALENDAR_H
#define TLM_CALENDAR_H

#include <stdint.h>

#include "geometry.h"
#include "timing.h"

enum { TLM_MAX_SLOTS = 6 * TLM_MAX_COLUMNS };

enum { TLM_E_RANGE = -1, TLM_E_MEMORY = -2 }; /* and TLM_E_PATTERN */

/* What stays the same over a layer. */
typedef struct tlm_layer {
    const tlm_geometry *g;
    const tlm_timing_params *t;
    const uint64_t *patterns;
    int32_t patterns_per_group, taps;
    int32_t groups, tiles, input_plane_bank; /* the input's plane words modulo the banks */
} tlm_layer;

typedef struct tlm_bytes {
    uint8_t *at;
    int64_t size, capacity;
} tlm_bytes;

/* AMem banks that the aligner occupies in each sequencer cycle of one pass, for an input at bank 0. */
typedef struct tlm_calendar {
    tlm_bytes banks; /* one per cycle: size = S */
    int32_t steps, empty;
    /* What a step of channel 0 does, worked out once per tile: */
    int64_t *fetch_of; /* [tiles][taps]: where it starts in `fetches`; 0: not yet known */
    tlm_bytes fetches; /* r, then the banks in these r cycles */
    uint8_t turned[TLM_MAX_BANKS][1 << TLM_MAX_BANKS]; /* [turn][set of banks]: the set turned */
} tlm_calendar;

/* Where one candidate placement stands. */
typedef struct tlm_candidate {
    int32_t output_bank, residual_bank; /* relative to the input's; residual -1: none */
    int64_t handover;
} tlm_candidate;

/* A write-back: cycles count from its hand-over. */
typedef struct tlm_drain {
    int64_t last_write;
    int32_t refused_writes, refused_residual_reads;
} tlm_drain;

/* The cycle of each entry slot's write and residual read, counted from the hand-over. */
typedef struct tlm_slot_cycles {
    int64_t write[TLM_MAX_SLOTS], residual_read[TLM_MAX_SLOTS];
} tlm_slot_cycles;

/* Check l's geometry, parameters and patterns and fill in the rest. Returns 0 or TLM_E_RANGE, TLM_E_PATTERN. */
int tlm_describe_layer(tlm_layer *l);

/* Entry slots of a group: its channels, or their planes. */
int32_t tlm_group_slots(const tlm_layer *l, int32_t group);

/* Where a group's first output and residual word of a tile lie, from the tensors' bases. */
int64_t tlm_output_word(const tlm_layer *l, int32_t group, int32_t tile);
int64_t tlm_residual_word(const tlm_layer *l, int32_t group, int32_t tile);

/* Idle cycles between a hand-over and the pass (group, tile) after it. */
int32_t tlm_gap_before(const tlm_layer *l, int32_t group, int32_t tile);

/* A calendar must be opened before its first use and closed after its last. 0 or TLM_E_MEMORY. */
int tlm_open_calendar(const tlm_layer *l, tlm_calendar *cal);
int tlm_build_calendar(const tlm_layer *l, tlm_calendar *cal, int32_t group, int32_t tile);
void tlm_close_calendar(tlm_calendar *cal);

/* The placement of a layer's tensors, relative to the bank of its input. */
tlm_candidate tlm_placed(tlm_placement at, int32_t banks);

/* Write back pass (group, tile) while the pass of `cal` fetches from `start` cycles after the hand-over on. `cycles`
 * may be NULL, else it is filled for the group's slots (the reads only if there is a residual). */
tlm_drain tlm_write_back(const tlm_layer *l, const tlm_calendar *cal, const tlm_candidate *c, int32_t group,
                         int32_t tile, int64_t start, tlm_slot_cycles *cycles);

/* Move a candidate over one pass: the write-back of the pass before (`cycles` as above), then this pass's hand-over.
 * `pass` may be NULL, else it is filled, and what the write-back has shown is put into the one before it. */
void tlm_advance(const tlm_layer *l, const tlm_calendar *cal, tlm_candidate *c, int32_t group, int32_t tile,
                 tlm_pass_times *pass, tlm_slot_cycles *cycles);
void tlm_record_drain(tlm_pass_times *pass, const tlm_candidate *c, const tlm_drain *d);

static inline int32_t tlm_modulo(int64_t a, int32_t m) { return (int32_t)((a % m + m) % m); }

/* The bank `step` (less than the banks) further on. */
static inline int32_t tlm_turned(int32_t bank, int32_t step, int32_t banks)
{
    return bank + step < banks ? bank + step : bank + step - banks;
}

#endif
