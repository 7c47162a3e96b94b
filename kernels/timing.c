#include "timing.h"

#include <stdlib.h>

enum { MAX_BANKS = 8, MAX_SLOTS = 6 * TLM_MAX_COLUMNS, MAX_DURATION = 1 << 20 };

enum { E_RANGE = -1, E_MEMORY = -2 }; /* and TLM_E_PATTERN */

/* What stays the same over a layer. */
typedef struct layer {
    const tlm_geometry *g;
    const tlm_timing_params *t;
    const uint64_t *patterns;
    int32_t patterns_per_group, taps, channels_per_pattern;
    int32_t groups, tiles, input_plane_bank; /* P of the input modulo the banks */
} layer;

/* AMem banks that the aligner occupies in each sequencer cycle of one pass, for an input at bank 0. */
typedef struct calendar {
    uint8_t *banks;
    int64_t cycles, capacity; /* cycles = S */
    int32_t steps, empty;
    int32_t tap_cycles[TLM_MAX_TAPS];               /* r of a step with that tap; 0: not worked out for this tile */
    uint8_t tap_banks[TLM_MAX_TAPS][TLM_MAX_LANES]; /* and its banks in these r cycles, for channel 0 */
} calendar;

/* A write-back in progress: cycles count from its hand-over. */
typedef struct drain {
    int64_t last_write;
    int32_t refused_writes, refused_residual_reads;
} drain;

/* Where one candidate placement stands. */
typedef struct candidate {
    int32_t output_bank, residual_bank; /* relative to the input's; residual -1: none */
    int64_t handover;
} candidate;

static int32_t modulo(int64_t a, int32_t m) { return (int32_t)((a % m + m) % m); }

static int32_t lowest_bit(uint64_t bits)
{
#if defined(__GNUC__)
    return (int32_t)__builtin_ctzll(bits);
#else
    int32_t i = 0;
    while (!(bits >> i & 1)) i++;
    return i;
#endif
}

static uint64_t low_bits(int32_t count) { return (UINT64_C(1) << count) - 1; } /* count <= 60 */

/* Entry slots of a group: its channels, or their planes. */
static int32_t slots(const layer *l, int32_t group)
{
    int32_t left = l->g->out_channels - group * l->g->columns;
    return (left < l->g->columns ? left : l->g->columns) * l->t->words_per_channel;
}

static int32_t channels_of_pattern(const layer *l, int32_t index)
{
    int32_t left = l->g->channels - index * l->channels_per_pattern;
    return left < l->channels_per_pattern ? left : l->channels_per_pattern;
}

/* ---- fetch ---- */

/* The k-th fetch cycle of a step serves the k-th word of every bank; r is the longest of these queues. */
static void tap_fetch(const layer *l, calendar *cal, int32_t tile, int32_t tap)
{
    int32_t queue[MAX_BANKS] = {0}, r = 0;
    int32_t words[TLM_MAX_LANES], select[TLM_MAX_LANES];
    uint8_t *banks = cal->tap_banks[tap];
    int32_t count = tlm_tap_words(l->g, tile, tap, words, select);
    for (int32_t k = 0; k < l->g->lanes; k++) banks[k] = 0;
    for (int32_t i = 0; i < count; i++) {
        int32_t bank = words[i] % l->t->amem_banks, k = queue[bank]++;
        banks[k] |= (uint8_t)(1u << bank);
        if (k + 1 > r) r = k + 1;
    }
    cal->tap_cycles[tap] = r ? r : 1; /* all padding: one cycle that reads nothing */
}

/* Channel c's words are channel 0's, c*P further on: the same queues at banks turned by c*P. */
static void append_step(const layer *l, calendar *cal, int32_t tap, int32_t turn)
{
    int32_t banks = l->t->amem_banks, r = cal->tap_cycles[tap];
    uint32_t all = (1u << banks) - 1;
    const uint8_t *from = cal->tap_banks[tap];
    uint8_t *to = cal->banks + cal->cycles;
    for (int32_t k = 0; k < r; k++) to[k] = (uint8_t)(((uint32_t)from[k] << turn | from[k] >> (banks - turn)) & all);
    cal->cycles += r;
    cal->steps++;
}

static int reserve(calendar *cal, int64_t more)
{
    if (cal->cycles + more <= cal->capacity) return 0;
    int64_t capacity = 2 * (cal->cycles + more);
    uint8_t *banks = realloc(cal->banks, (size_t)capacity);
    if (!banks) return E_MEMORY;
    cal->banks = banks;
    cal->capacity = capacity;
    return 0;
}

static int build_calendar(const layer *l, calendar *cal, int32_t group, int32_t tile)
{
    const uint64_t *pattern = l->patterns + (int64_t)group * l->patterns_per_group;
    int32_t turn = 0, taps = l->taps;
    cal->cycles = cal->steps = cal->empty = 0;
    for (int32_t tap = 0; tap < taps; tap++) cal->tap_cycles[tap] = 0;
    for (int32_t p = 0; p < l->patterns_per_group; p++) {
        if (reserve(cal, (int64_t)TLM_MAX_TAPS * l->g->lanes)) return E_MEMORY;
        if (!pattern[p]) {
            cal->banks[cal->cycles++] = 0;
            cal->empty++;
        }
        for (int32_t i = 0; i < channels_of_pattern(l, p); i++) {
            for (uint64_t bits = pattern[p] >> (i * taps) & low_bits(taps); bits; bits &= bits - 1) {
                int32_t tap = lowest_bit(bits);
                if (!cal->tap_cycles[tap]) tap_fetch(l, cal, tile, tap);
                append_step(l, cal, tap, turn);
            }
            turn = (turn + l->input_plane_bank) % l->t->amem_banks;
        }
    }
    return 0;
}

/* ---- write-back ---- */

static uint32_t aligner_banks(const calendar *cal, int64_t cycle)
{
    return cycle >= 0 && cycle < cal->cycles ? cal->banks[cycle] : 0;
}

/* Without a residual the n channels follow each other through a full pipeline: a write comes in the first cycle after
 * the one before in which the aligner leaves its bank free. `start` is the calendar's first cycle. */
static drain write_back(const calendar *cal, int64_t start, int32_t n, int32_t requantiser_cycles, int32_t bank,
                        int32_t bank_step, int32_t banks)
{
    drain d = {0, 0, 0};
    int64_t cycle = 1 + requantiser_cycles;
    for (int32_t j = 0; j < n; j++, cycle++) {
        for (; aligner_banks(cal, cycle - start) >> bank & 1; cycle++) d.refused_writes++;
        d.last_write = cycle;
        bank = (bank + bank_step) % banks;
    }
    return d;
}

/* With one, refused reads leave bubbles. `moves` counts the cycles in which the requantiser is not frozen: a channel
 * is written `requantiser_cycles` moves after the move in which its residual was read. */
static drain write_back_residual(const calendar *cal, int64_t start, int32_t n, int32_t requantiser_cycles, int32_t bank,
                                 int32_t residual_bank, int32_t bank_step, int32_t banks)
{
    int64_t entries[MAX_SLOTS]; /* move of each channel's entry */
    drain d = {0, 0, 0};
    int64_t cycle = 1;
    int32_t entered = 0, written = 0;
    for (int64_t moves = 0; written < n; moves++, cycle++) {
        uint32_t written_bank = 0;
        if (written < entered && entries[written] + requantiser_cycles == moves) {
            for (; aligner_banks(cal, cycle - start) >> bank & 1; cycle++) d.refused_writes++;
            d.last_write = cycle;
            written_bank = 1u << bank;
            bank = (bank + bank_step) % banks;
            written++;
        }
        if (entered == n) continue;
        if ((aligner_banks(cal, cycle - start) | written_bank) >> residual_bank & 1) {
            d.refused_residual_reads++;
        } else {
            entries[entered++] = moves;
            residual_bank = (residual_bank + bank_step) % banks;
        }
    }
    return d;
}

/* Write back pass (group, tile) while the pass of `cal` fetches, `start` cycles after the hand-over. */
static drain drain_pass(const layer *l, const calendar *cal, const candidate *c, int32_t group, int32_t tile,
                        int64_t start)
{
    int32_t banks = l->t->amem_banks, n = slots(l, group), step = l->tiles % banks;
    int64_t word = (int64_t)group * l->g->columns * l->t->words_per_channel * l->tiles + tile;
    int32_t bank = modulo(c->output_bank + word, banks);
    if (c->residual_bank < 0) return write_back(cal, start, n, l->t->requantiser_cycles, bank, step, banks);
    return write_back_residual(cal, start, n, l->t->requantiser_cycles, bank, modulo(c->residual_bank + word, banks), step,
                               banks);
}

/* ---- passes ---- */

/* Idle cycles between a hand-over and the pass after it: the next group's parameter words are read in them. */
static int32_t gap_before(const layer *l, int32_t group, int32_t tile)
{
    int32_t gap = l->t->pass_gap_cycles, reads = slots(l, group) + 1;
    return tile == 0 && reads > gap ? reads : gap;
}

static void record_drain(tlm_pass_times *pass, const candidate *c, const drain *d)
{
    pass->last_write_cycle = c->handover + d->last_write;
    pass->refused_writes = d->refused_writes;
    pass->refused_residual_reads = d->refused_residual_reads;
}

/* Move a candidate over one pass: the previous pass's write-back, then this pass's hand-over. */
static void advance(const layer *l, const calendar *cal, candidate *c, int32_t group, int32_t tile, tlm_pass_times *pass)
{
    int64_t first = 0, last_write = -1;
    if (group || tile) {
        int32_t before = tile ? tile - 1 : l->tiles - 1, start = 1 + gap_before(l, group, tile);
        drain d = drain_pass(l, cal, c, tile ? group : group - 1, before, start);
        if (pass) record_drain(pass - 1, c, &d);
        first = c->handover + start;
        last_write = c->handover + d.last_write;
    }
    int64_t last_fetch = first + cal->cycles - 1, ready = last_fetch + l->t->pipeline_cycles + 1;
    c->handover = ready > last_write ? ready : last_write + 1;
    if (!pass) return;
    *pass = (tlm_pass_times){.first_cycle = first, .last_fetch_cycle = last_fetch, .handover_cycle = c->handover,
                             .steps = cal->steps, .fetch_cycles = (int32_t)cal->cycles - cal->empty,
                             .empty_pattern_cycles = cal->empty};
}

/* All passes for all candidates; on return each candidate's `handover` is its cycle count. passes: of one candidate. */
static int run_layer(const layer *l, calendar *cal, candidate *candidates, int32_t count, tlm_pass_times *passes)
{
    for (int32_t group = 0; group < l->groups; group++)
        for (int32_t tile = 0; tile < l->tiles; tile++) {
            if (build_calendar(l, cal, group, tile)) return E_MEMORY;
            tlm_pass_times *pass = passes ? passes + (int64_t)group * l->tiles + tile : NULL;
            for (int32_t i = 0; i < count; i++) advance(l, cal, candidates + i, group, tile, pass);
        }
    cal->cycles = 0; /* nothing is fetched during the last write-back */
    for (int32_t i = 0; i < count; i++) {
        drain d = drain_pass(l, cal, candidates + i, l->groups - 1, l->tiles - 1, 0);
        if (passes) record_drain(passes + (int64_t)l->groups * l->tiles - 1, candidates + i, &d);
        candidates[i].handover += d.last_write + 1;
    }
    return 0;
}

/* ---- edge ---- */

static int in_range(int64_t value, int64_t low, int64_t high) { return low <= value && value <= high; }

static int check_ranges(const tlm_geometry *g, const tlm_timing_params *t)
{
    const int32_t most = INT32_MAX;
    return in_range(g->lanes, 1, TLM_MAX_LANES) && in_range(g->columns, 1, TLM_MAX_COLUMNS) &&
           in_range(g->channels, 1, most) && in_range(g->height, 1, most) && in_range(g->width, 1, most) &&
           in_range(g->out_channels, 1, most) && in_range(g->out_height, 1, most) && in_range(g->out_width, 1, most) &&
           in_range(g->kernel_h, 1, TLM_MAX_TAPS) && in_range(g->kernel_w, 1, TLM_MAX_TAPS) &&
           g->kernel_h * g->kernel_w <= TLM_MAX_TAPS && in_range(t->amem_banks, 1, MAX_BANKS) &&
           in_range(t->pipeline_cycles, 0, MAX_DURATION) && in_range(t->pass_gap_cycles, 0, MAX_DURATION) &&
           in_range(t->requantiser_cycles, 1, MAX_DURATION) && (t->words_per_channel == 1 || t->words_per_channel == 6) &&
           in_range(tlm_plane_words(g->lanes, g->out_height, g->out_width), 1, most);
}

static int describe_layer(layer *l)
{
    const tlm_geometry *g = l->g;
    if (!check_ranges(g, l->t)) return E_RANGE;
    l->taps = g->kernel_h * g->kernel_w;
    l->channels_per_pattern = TLM_MAX_TAPS / l->taps;
    l->groups = (g->out_channels - 1) / g->columns + 1;
    l->tiles = (int32_t)tlm_plane_words(g->lanes, g->out_height, g->out_width);
    l->input_plane_bank = (int32_t)(tlm_plane_words(g->lanes, g->height, g->width) % l->t->amem_banks);
    if (l->patterns_per_group != (g->channels - 1) / l->channels_per_pattern + 1) return TLM_E_PATTERN;
    for (int64_t p = 0; p < (int64_t)l->groups * l->patterns_per_group; p++) {
        int32_t channels = channels_of_pattern(l, (int32_t)(p % l->patterns_per_group));
        if (l->patterns[p] & ~low_bits(l->taps * channels)) return TLM_E_PATTERN;
    }
    return 0;
}

static int run_candidates(layer *l, candidate *candidates, int32_t count, tlm_pass_times *passes)
{
    calendar cal = {.banks = NULL, .capacity = 0};
    int status = describe_layer(l);
    if (!status) status = run_layer(l, &cal, candidates, count, passes);
    free(cal.banks);
    return status;
}

static candidate placed(tlm_placement at, int32_t banks)
{
    int64_t input = at.input_base_word;
    if (banks < 1) banks = 1; /* refused later */
    return (candidate){modulo(at.output_base_word - input, banks),
                       at.residual_base_word < 0 ? -1 : modulo(at.residual_base_word - input, banks), 0};
}

int64_t tlm_layer_timing(const tlm_geometry *g, const tlm_timing_params *t, const uint64_t *patterns,
                         int32_t patterns_per_group, tlm_pass_times *passes)
{
    layer l = {.g = g, .t = t, .patterns = patterns, .patterns_per_group = patterns_per_group};
    candidate one = placed((tlm_placement){g->input_base_word, t->output_base_word, t->residual_base_word}, t->amem_banks);
    int status = run_candidates(&l, &one, 1, passes);
    return status ? status : one.handover;
}

int32_t tlm_layer_cycles(const tlm_geometry *g, const tlm_timing_params *t, const uint64_t *patterns,
                         int32_t patterns_per_group, const tlm_placement *placements, int32_t count, int64_t *cycles)
{
    layer l = {.g = g, .t = t, .patterns = patterns, .patterns_per_group = patterns_per_group};
    if (count < 1) return count ? E_RANGE : 0;
    candidate *candidates = malloc((size_t)count * sizeof *candidates);
    if (!candidates) return E_MEMORY;
    for (int32_t i = 0; i < count; i++) candidates[i] = placed(placements[i], t->amem_banks);
    int status = run_candidates(&l, candidates, count, NULL);
    for (int32_t i = 0; !status && i < count; i++) cycles[i] = candidates[i].handover;
    free(candidates);
    return status;
}
