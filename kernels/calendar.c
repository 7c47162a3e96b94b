#include "calendar.h"

#include <stdlib.h>

enum { MAX_DURATION = 1 << 20 };

/* ---- the layer ---- */

static int in_range(int64_t value, int64_t low, int64_t high) { return low <= value && value <= high; }

static int check_ranges(const tlm_geometry *g, const tlm_timing_params *t)
{
    const int32_t most = INT32_MAX;
    return in_range(g->lanes, 1, TLM_MAX_LANES) && in_range(g->columns, 1, TLM_MAX_COLUMNS) &&
           in_range(g->channels, 1, most) && in_range(g->height, 1, most) && in_range(g->width, 1, most) &&
           in_range(g->out_channels, 1, most) && in_range(g->out_height, 1, most) && in_range(g->out_width, 1, most) &&
           in_range(g->kernel_h, 1, TLM_MAX_KERNEL) && in_range(g->kernel_w, 1, TLM_MAX_KERNEL) &&
           in_range(t->amem_banks, 1, TLM_MAX_BANKS) &&
           in_range(t->pipeline_cycles, 0, MAX_DURATION) && in_range(t->pass_gap_cycles, 0, MAX_DURATION) &&
           in_range(t->requantiser_cycles, 1, MAX_DURATION) &&
           (t->words_per_channel == 1 || t->words_per_channel == 6) && in_range(t->output_plane_words, 1, most) &&
           in_range(t->residual_plane_words, 1, most) && in_range(g->input_first_word, 0, most) &&
           in_range(g->input_plane_words, 1, most) && in_range(g->first_tile, 0, most) &&
           in_range(g->tile_count, 1, tlm_plane_words(g->lanes, g->out_height, g->out_width) - g->first_tile);
}

int tlm_describe_layer(tlm_layer *l)
{
    const tlm_geometry *g = l->g;
    if (!check_ranges(g, l->t)) return TLM_E_RANGE;
    l->taps = tlm_taps(g);
    l->groups = tlm_groups(g);
    l->tiles = g->tile_count;
    l->input_plane_bank = g->input_plane_words % l->t->amem_banks;
    if (l->patterns_per_group != tlm_patterns_of_group(g, 0)) return TLM_E_PATTERN;
    for (int64_t p = 0; p < (int64_t)l->groups * l->patterns_per_group; p++) {
        int32_t group = (int32_t)(p / l->patterns_per_group), index = (int32_t)(p % l->patterns_per_group);
        if (!tlm_pattern_is_legal(g, group, index, l->patterns[p])) return TLM_E_PATTERN;
    }
    return 0;
}

int32_t tlm_group_slots(const tlm_layer *l, int32_t group)
{
    return tlm_group_channels(l->g, group) * l->t->words_per_channel;
}

int64_t tlm_output_word(const tlm_layer *l, int32_t group, int32_t tile)
{
    return (int64_t)group * l->g->columns * l->t->words_per_channel * l->t->output_plane_words + tile;
}

int64_t tlm_residual_word(const tlm_layer *l, int32_t group, int32_t tile)
{
    return (int64_t)group * l->g->columns * l->t->residual_plane_words + tile;
}

/* The next group's parameter words are read in the gap, and pattern word 0 in the cycle after them. */
int32_t tlm_gap_before(const tlm_layer *l, int32_t group, int32_t tile)
{
    int32_t gap = l->t->pass_gap_cycles, reads = tlm_group_slots(l, group) + 1;
    return tile == 0 && reads > gap ? reads : gap;
}

tlm_candidate tlm_placed(tlm_placement at, int32_t banks)
{
    int64_t input = at.input_base_word;
    return (tlm_candidate){tlm_modulo(at.output_base_word - input, banks),
                           at.residual_base_word < 0 ? -1 : tlm_modulo(at.residual_base_word - input, banks), 0};
}

/* ---- fetch ---- */

static int reserve(tlm_bytes *b, int64_t more)
{
    if (b->size + more <= b->capacity) return 0;
    int64_t capacity = 2 * (b->size + more);
    uint8_t *at = realloc(b->at, (size_t)capacity);
    if (!at) return TLM_E_MEMORY;
    b->at = at;
    b->capacity = capacity;
    return 0;
}

/* The k-th fetch cycle of a step serves the k-th word of every bank; r is the longest of these queues. */
static int work_out_fetch(const tlm_layer *l, tlm_calendar *cal, int32_t tile, int32_t tap)
{
    int32_t queue[TLM_MAX_BANKS] = {0}, r = 1; /* all padding: one cycle that reads nothing */
    int32_t words[TLM_MAX_LANES];
    if (reserve(&cal->fetches, 1 + TLM_MAX_LANES)) return TLM_E_MEMORY;
    uint8_t *fetch = cal->fetches.at + cal->fetches.size;
    int32_t count = tlm_tap_words(l->g, tile, tap, words, NULL);
    fetch[1] = 0;
    for (int32_t i = 0; i < count; i++) {
        int32_t bank = tlm_modulo(words[i], l->t->amem_banks), k = ++queue[bank];
        if (k > r) fetch[r = k] = 0;
        fetch[k] |= (uint8_t)(1u << bank);
    }
    fetch[0] = (uint8_t)r;
    cal->fetch_of[(int64_t)tile * l->taps + tap] = cal->fetches.size;
    cal->fetches.size += 1 + r;
    return 0;
}

static int work_out_tile(const tlm_layer *l, tlm_calendar *cal, int32_t tile)
{
    if (cal->fetch_of[(int64_t)tile * l->taps]) return 0;
    for (int32_t tap = 0; tap < l->taps; tap++)
        if (work_out_fetch(l, cal, tile, tap)) return TLM_E_MEMORY;
    return 0;
}

/* Channel c's words are channel 0's, c*P further on: the same queues at banks turned by c*P. Returns where the next
 * step's go. */
static uint8_t *append_step(uint8_t *to, const uint8_t *fetch, const uint8_t *turned)
{
    const int32_t r = fetch[0];
    *to++ = turned[fetch[1]];
    for (int32_t k = 2; k <= r; k++) *to++ = turned[fetch[k]];
    return to;
}

int tlm_build_calendar(const tlm_layer *l, tlm_calendar *cal, int32_t group, int32_t tile)
{
    const uint64_t *pattern = l->patterns + (int64_t)group * l->patterns_per_group;
    const int32_t banks = l->t->amem_banks, words = tlm_patterns_of_group(l->g, group), plane_bank = l->input_plane_bank;
    int32_t turn = tlm_modulo((int64_t)tlm_first_channel(l->g, group) * plane_bank, banks);
    if (work_out_tile(l, cal, tile)) return TLM_E_MEMORY;
    cal->banks.size = cal->steps = cal->empty = 0;
    for (int32_t p = 0; p < words; p++) {
        if (reserve(&cal->banks, (int64_t)TLM_PATTERN_BITS * l->g->lanes)) return TLM_E_MEMORY;
        uint8_t *to = cal->banks.at + cal->banks.size;
        if (!pattern[p]) {
            *to++ = 0;
            cal->empty++;
        }
        const int32_t taps = tlm_taps_of_pattern(l->g, p), first_tap = tlm_first_tap_of_pattern(l->g, p);
        const int32_t turn_of_channel = first_tap + taps == l->taps ? plane_bank : 0; /* else: the same channel follows */
        const int64_t *fetch_of = cal->fetch_of + (int64_t)tile * l->taps + first_tap;
        const uint8_t *fetches = cal->fetches.at;
        const uint64_t all_taps = tlm_low_bits(taps);
        int32_t left = tlm_channels_of_pattern(l->g, group, p), steps = 0;
        for (uint64_t of_channel = pattern[p]; of_channel; of_channel >>= taps, left--) {
            const uint8_t *turned = cal->turned[turn];
            for (uint64_t bits = of_channel & all_taps; bits; bits &= bits - 1, steps++)
                to = append_step(to, fetches + fetch_of[tlm_lowest_bit(bits)], turned);
            turn = tlm_turned(turn, turn_of_channel, banks);
        }
        turn = tlm_modulo(turn + (int64_t)left * turn_of_channel, banks); /* channels behind the last with a step */
        cal->banks.size = to - cal->banks.at;
        cal->steps += steps;
    }
    return 0;
}

/* Banks turned by `turn`. */
static uint8_t turned_banks(uint32_t set, int32_t turn, int32_t banks)
{
    return (uint8_t)((set << turn | set >> (banks - turn)) & ((1u << banks) - 1));
}

int tlm_open_calendar(const tlm_layer *l, tlm_calendar *cal)
{
    const int32_t banks = l->t->amem_banks;
    *cal = (tlm_calendar){.fetches.size = 1}; /* offset 0 means "not yet known" */
    for (int32_t turn = 0; turn < banks; turn++)
        for (uint32_t set = 0; set < 1u << banks; set++) cal->turned[turn][set] = turned_banks(set, turn, banks);
    cal->fetch_of = calloc((size_t)l->tiles * (size_t)l->taps, sizeof *cal->fetch_of);
    return cal->fetch_of ? 0 : TLM_E_MEMORY;
}

void tlm_close_calendar(tlm_calendar *cal)
{
    free(cal->banks.at);
    free(cal->fetches.at);
    free(cal->fetch_of);
}
