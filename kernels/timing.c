#include "timing.h"

#include <stdlib.h>
#include <string.h>

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

typedef struct bytes {
    uint8_t *at;
    int64_t size, capacity;
} bytes;

/* AMem banks that the aligner occupies in each sequencer cycle of one pass, for an input at bank 0. */
typedef struct calendar {
    bytes banks; /* one per cycle: size = S */
    int32_t steps, empty;
    /* What a step of channel 0 does, worked out once per tile and tap, when first needed: */
    int64_t *fetch_of; /* [tiles][taps]: where it starts in `fetches`; 0: not yet known */
    bytes fetches;     /* r, then the banks in these r cycles */
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

/* The bank `step` (less than the banks) further on. */
static int32_t turned(int32_t bank, int32_t step, int32_t banks)
{
    return bank + step < banks ? bank + step : bank + step - banks;
}

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

static int reserve(bytes *b, int64_t more)
{
    if (b->size + more <= b->capacity) return 0;
    int64_t capacity = 2 * (b->size + more);
    uint8_t *at = realloc(b->at, (size_t)capacity);
    if (!at) return E_MEMORY;
    b->at = at;
    b->capacity = capacity;
    return 0;
}

/* The k-th fetch cycle of a step serves the k-th word of every bank; r is the longest of these queues. */
static int work_out_fetch(const layer *l, calendar *cal, int32_t tile, int32_t tap)
{
    int32_t queue[MAX_BANKS] = {0}, r = 1; /* all padding: one cycle that reads nothing */
    int32_t words[TLM_MAX_LANES], select[TLM_MAX_LANES];
    if (reserve(&cal->fetches, 1 + TLM_MAX_LANES)) return E_MEMORY;
    uint8_t *fetch = cal->fetches.at + cal->fetches.size;
    int32_t count = tlm_tap_words(l->g, tile, tap, words, select);
    memset(fetch, 0, 1 + TLM_MAX_LANES);
    for (int32_t i = 0; i < count; i++) {
        int32_t bank = words[i] % l->t->amem_banks, k = ++queue[bank];
        fetch[k] |= (uint8_t)(1u << bank);
        if (k > r) r = k;
    }
    fetch[0] = (uint8_t)r;
    cal->fetch_of[(int64_t)tile * l->taps + tap] = cal->fetches.size;
    cal->fetches.size += 1 + r;
    return 0;
}

/* Channel c's words are channel 0's, c*P further on: the same queues at banks turned by c*P. */
static void append_step(calendar *cal, const uint8_t *fetch, int32_t turn, int32_t banks)
{
    uint32_t all = (1u << banks) - 1;
    uint8_t *to = cal->banks.at + cal->banks.size;
    int32_t r = *fetch++;
    for (int32_t k = 0; k < r; k++) to[k] = (uint8_t)(((uint32_t)fetch[k] << turn | fetch[k] >> (banks - turn)) & all);
    cal->banks.size += r;
    cal->steps++;
}

static int build_calendar(const layer *l, calendar *cal, int32_t group, int32_t tile)
{
    const uint64_t *pattern = l->patterns + (int64_t)group * l->patterns_per_group;
    const int64_t *fetch_of = cal->fetch_of + (int64_t)tile * l->taps;
    int32_t turn = 0, taps = l->taps, banks = l->t->amem_banks;
    cal->banks.size = cal->steps = cal->empty = 0;
    for (int32_t p = 0; p < l->patterns_per_group; p++) {
        if (reserve(&cal->banks, (int64_t)TLM_MAX_TAPS * l->g->lanes)) return E_MEMORY;
        if (!pattern[p]) {
            cal->banks.at[cal->banks.size++] = 0;
            cal->empty++;
        }
        for (int32_t i = 0; i < channels_of_pattern(l, p); i++) {
            for (uint64_t bits = pattern[p] >> (i * taps) & low_bits(taps); bits; bits &= bits - 1) {
                int32_t tap = lowest_bit(bits);
                if (!fetch_of[tap] && work_out_fetch(l, cal, tile, tap)) return E_MEMORY;
                append_step(cal, cal->fetches.at + fetch_of[tap], turn, banks);
            }
            turn = turned(turn, l->input_plane_bank, banks);
        }
    }
    return 0;
}

static int open_calendar(const layer *l, calendar *cal)
{
    *cal = (calendar){.fetches.size = 1}; /* offset 0 means "not yet known" */
    cal->fetch_of = calloc((size_t)l->tiles * (size_t)l->taps, sizeof *cal->fetch_of);
    return cal->fetch_of ? 0 : E_MEMORY;
}

static void close_calendar(calendar *cal)
{
    free(cal->banks.at);
    free(cal->fetches.at);
    free(cal->fetch_of);
}

/* ---- write-back ---- */

static uint32_t aligner_banks(const calendar *cal, int64_t cycle)
{
    return cycle >= 0 && cycle < cal->banks.size ? cal->banks.at[cycle] : 0;
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
        bank = turned(bank, bank_step, banks);
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
            bank = turned(bank, bank_step, banks);
            written++;
        }
        if (entered == n) continue;
        if ((aligner_banks(cal, cycle - start) | written_bank) >> residual_bank & 1) {
            d.refused_residual_reads++;
        } else {
            entries[entered++] = moves;
            residual_bank = turned(residual_bank, bank_step, banks);
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
    int64_t last_fetch = first + cal->banks.size - 1, ready = last_fetch + l->t->pipeline_cycles + 1;
    c->handover = ready > last_write ? ready : last_write + 1;
    if (!pass) return;
    *pass = (tlm_pass_times){.first_cycle = first, .last_fetch_cycle = last_fetch, .handover_cycle = c->handover,
                             .steps = cal->steps, .fetch_cycles = (int32_t)cal->banks.size - cal->empty,
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
    cal->banks.size = 0; /* nothing is fetched during the last write-back */
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

static int run_candidates(const layer *l, candidate *candidates, int32_t count, tlm_pass_times *passes)
{
    calendar cal;
    int status = open_calendar(l, &cal);
    if (!status) status = run_layer(l, &cal, candidates, count, passes);
    close_calendar(&cal);
    return status;
}

static candidate placed(tlm_placement at, int32_t banks)
{
    int64_t input = at.input_base_word;
    return (candidate){modulo(at.output_base_word - input, banks),
                       at.residual_base_word < 0 ? -1 : modulo(at.residual_base_word - input, banks), 0};
}

int64_t tlm_layer_timing(const tlm_geometry *g, const tlm_timing_params *t, const uint64_t *patterns,
                         int32_t patterns_per_group, tlm_pass_times *passes)
{
    layer l = {.g = g, .t = t, .patterns = patterns, .patterns_per_group = patterns_per_group};
    int status = describe_layer(&l);
    if (status) return status;
    candidate one = placed((tlm_placement){g->input_base_word, t->output_base_word, t->residual_base_word}, t->amem_banks);
    status = run_candidates(&l, &one, 1, passes);
    return status ? status : one.handover;
}

int32_t tlm_layer_cycles(const tlm_geometry *g, const tlm_timing_params *t, const uint64_t *patterns,
                         int32_t patterns_per_group, const tlm_placement *placements, int32_t count, int64_t *cycles)
{
    layer l = {.g = g, .t = t, .patterns = patterns, .patterns_per_group = patterns_per_group};
    candidate distinct[MAX_BANKS * (MAX_BANKS + 1)];
    int32_t number[MAX_BANKS][MAX_BANKS + 1] = {{0}}; /* [output bank][residual bank + 1]: its place there, from 1 */
    int32_t known = 0, status = describe_layer(&l);
    if (status || count < 1) return status;
    for (int32_t i = 0; i < count; i++) {
        candidate c = placed(placements[i], t->amem_banks);
        int32_t *place = &number[c.output_bank][c.residual_bank + 1];
        if (*place) continue;
        distinct[known] = c;
        *place = ++known;
    }
    status = run_candidates(&l, distinct, known, NULL);
    for (int32_t i = 0; !status && i < count; i++) {
        candidate c = placed(placements[i], t->amem_banks);
        cycles[i] = distinct[number[c.output_bank][c.residual_bank + 1] - 1].handover;
    }
    return status;
}
