#include "timing.h"

#include <stddef.h>

#include "calendar.h"

/* ---- write-back ---- */

static uint32_t aligner_banks(const tlm_calendar *cal, int64_t cycle)
{
    return cycle >= 0 && cycle < cal->banks.size ? cal->banks.at[cycle] : 0;
}

/* Where a pass's words go: the bank of its first, and from one to the next. */
typedef struct places {
    int32_t count, output_bank, output_step, residual_bank, residual_step, banks;
} places;

/* Without a residual the channels follow each other through a full pipeline: a write comes in the first cycle after
 * the one before in which the aligner leaves its bank free. `start` is the calendar's first cycle. */
static tlm_drain write_back(const tlm_calendar *cal, int64_t start, int32_t requantiser_cycles, places at,
                            tlm_slot_cycles *cycles)
{
    tlm_drain d = {0, 0, 0};
    int64_t cycle = 1 + requantiser_cycles;
    for (int32_t j = 0; j < at.count; j++, cycle++) {
        for (; aligner_banks(cal, cycle - start) >> at.output_bank & 1; cycle++) d.refused_writes++;
        d.last_write = cycle;
        if (cycles) cycles->write[j] = cycle;
        at.output_bank = tlm_turned(at.output_bank, at.output_step, at.banks);
    }
    return d;
}

/* With one, refused reads leave bubbles. `moves` counts the cycles in which the requantiser is not frozen: a channel
 * is written `requantiser_cycles` moves after the move in which its residual was read. */
static tlm_drain write_back_residual(const tlm_calendar *cal, int64_t start, int32_t requantiser_cycles, places at,
                                     tlm_slot_cycles *cycles)
{
    int64_t entries[TLM_MAX_SLOTS]; /* move of each channel's entry */
    tlm_drain d = {0, 0, 0};
    int64_t cycle = 1;
    int32_t entered = 0, written = 0;
    for (int64_t moves = 0; written < at.count; moves++, cycle++) {
        uint32_t written_bank = 0;
        if (written < entered && entries[written] + requantiser_cycles == moves) {
            for (; aligner_banks(cal, cycle - start) >> at.output_bank & 1; cycle++) d.refused_writes++;
            d.last_write = cycle;
            if (cycles) cycles->write[written] = cycle;
            written_bank = 1u << at.output_bank;
            at.output_bank = tlm_turned(at.output_bank, at.output_step, at.banks);
            written++;
        }
        if (entered == at.count) continue;
        if ((aligner_banks(cal, cycle - start) | written_bank) >> at.residual_bank & 1) {
            d.refused_residual_reads++;
        } else {
            if (cycles) cycles->residual_read[entered] = cycle;
            entries[entered++] = moves;
            at.residual_bank = tlm_turned(at.residual_bank, at.residual_step, at.banks);
        }
    }
    return d;
}

tlm_drain tlm_write_back(const tlm_layer *l, const tlm_calendar *cal, const tlm_candidate *c, int32_t group,
                         int32_t tile, int64_t start, tlm_slot_cycles *cycles)
{
    int32_t banks = l->t->amem_banks;
    places at = {.count = tlm_group_slots(l, group), .output_step = l->t->output_plane_words % banks,
                 .output_bank = tlm_modulo(c->output_bank + tlm_output_word(l, group, tile), banks), .banks = banks};
    if (c->residual_bank < 0) return write_back(cal, start, l->t->requantiser_cycles, at, cycles);
    at.residual_bank = tlm_modulo(c->residual_bank + tlm_residual_word(l, group, tile), banks);
    at.residual_step = l->t->residual_plane_words % banks;
    return write_back_residual(cal, start, l->t->requantiser_cycles, at, cycles);
}

/* ---- passes ---- */

void tlm_record_drain(tlm_pass_times *pass, const tlm_candidate *c, const tlm_drain *d)
{
    pass->last_write_cycle = c->handover + d->last_write;
    pass->refused_writes = d->refused_writes;
    pass->refused_residual_reads = d->refused_residual_reads;
}

void tlm_advance(const tlm_layer *l, const tlm_calendar *cal, tlm_candidate *c, int32_t group, int32_t tile,
                 tlm_pass_times *pass, tlm_slot_cycles *cycles)
{
    int64_t first = 0, last_write = -1;
    if (group || tile) {
        int32_t before = tile ? tile - 1 : l->tiles - 1, start = 1 + tlm_gap_before(l, group, tile);
        tlm_drain d = tlm_write_back(l, cal, c, tile ? group : group - 1, before, start, cycles);
        if (pass) tlm_record_drain(pass - 1, c, &d);
        first = c->handover + start;
        last_write = c->handover + d.last_write;
    }
    int64_t last_fetch = first + cal->banks.size - 1, ready = last_fetch + l->t->pipeline_cycles + 1;
    c->handover = ready > last_write ? ready : last_write + 1;
    if (!pass) return;
    *pass = (tlm_pass_times){.first_cycle = first, .last_fetch_cycle = last_fetch, .handover_cycle = c->handover,
                             .steps = cal->steps, .fetch_cycles = (int32_t)cal->banks.size - cal->empty,
                             .empty_pattern_cycles = cal->empty};
}

/* All passes for all candidates; on return each candidate's `handover` is its cycle count. passes: of one candidate. */
static int run_layer(const tlm_layer *l, tlm_calendar *cal, tlm_candidate *candidates, int32_t count,
                     tlm_pass_times *passes)
{
    for (int32_t group = 0; group < l->groups; group++)
        for (int32_t tile = 0; tile < l->tiles; tile++) {
            if (tlm_build_calendar(l, cal, group, tile)) return TLM_E_MEMORY;
            tlm_pass_times *pass = passes ? passes + (int64_t)group * l->tiles + tile : NULL;
            for (int32_t i = 0; i < count; i++) tlm_advance(l, cal, candidates + i, group, tile, pass, NULL);
        }
    cal->banks.size = 0; /* nothing is fetched during the last write-back */
    for (int32_t i = 0; i < count; i++) {
        tlm_drain d = tlm_write_back(l, cal, candidates + i, l->groups - 1, l->tiles - 1, 0, NULL);
        if (passes) tlm_record_drain(passes + (int64_t)l->groups * l->tiles - 1, candidates + i, &d);
        candidates[i].handover += d.last_write + 1;
    }
    return 0;
}

static int run_candidates(const tlm_layer *l, tlm_candidate *candidates, int32_t count, tlm_pass_times *passes)
{
    tlm_calendar cal;
    int status = tlm_open_calendar(l, &cal);
    if (!status) status = run_layer(l, &cal, candidates, count, passes);
    tlm_close_calendar(&cal);
    return status;
}

/* ---- edge ---- */

int64_t tlm_layer_timing(const tlm_geometry *g, const tlm_timing_params *t, const uint64_t *patterns,
                         int32_t patterns_per_group, tlm_pass_times *passes)
{
    tlm_layer l = {.g = g, .t = t, .patterns = patterns, .patterns_per_group = patterns_per_group};
    int status = tlm_describe_layer(&l);
    if (status) return status;
    tlm_placement at = {g->input_base_word, t->output_base_word, t->residual_base_word};
    tlm_candidate one = tlm_placed(at, t->amem_banks);
    status = run_candidates(&l, &one, 1, passes);
    return status ? status : one.handover;
}

int32_t tlm_layer_cycles(const tlm_geometry *g, const tlm_timing_params *t, const uint64_t *patterns,
                         int32_t patterns_per_group, const tlm_placement *placements, int32_t count, int64_t *cycles)
{
    tlm_layer l = {.g = g, .t = t, .patterns = patterns, .patterns_per_group = patterns_per_group};
    tlm_candidate distinct[TLM_MAX_BANKS * (TLM_MAX_BANKS + 1)];
    int32_t number[TLM_MAX_BANKS][TLM_MAX_BANKS + 1] = {{0}}; /* [output bank][residual bank + 1]: its place, from 1 */
    int32_t known = 0, status = tlm_describe_layer(&l);
    if (status || count < 1) return status;
    for (int32_t i = 0; i < count; i++) {
        tlm_candidate c = tlm_placed(placements[i], t->amem_banks);
        int32_t *place = &number[c.output_bank][c.residual_bank + 1];
        if (*place) continue;
        distinct[known] = c;
        *place = ++known;
    }
    status = run_candidates(&l, distinct, known, NULL);
    for (int32_t i = 0; !status && i < count; i++) {
        tlm_candidate c = tlm_placed(placements[i], t->amem_banks);
        cycles[i] = distinct[number[c.output_bank][c.residual_bank + 1] - 1].handover;
    }
    return status;
}
