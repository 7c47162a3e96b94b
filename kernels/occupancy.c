#include "occupancy.h"

#include "calendar.h"

/* A layer that is being marked. */
typedef struct marking {
    const tlm_layer *l;
    const tlm_occupancy_params *o;
    tlm_pass_times *passes;
    tlm_occupancy *out;
    tlm_candidate placed;
    int64_t first_cycle;    /* s_0 */
    int64_t parameter_word; /* of the present group, in IMem; its pattern words follow its channels' */
    int64_t weight_word;    /* of the present group, in WMem */
    int64_t cycles_with[1 << TLM_MAX_BANKS]; /* [set of AMem banks, for an input at bank 0]: cycles in which the aligner
                                              * took just these */
} marking;

/* Consecutive words of one SRAM: the bank of the next one. */
typedef struct cursor {
    uint8_t *calendar;
    int64_t *accesses;
    int32_t bank, banks;
} cursor;

static cursor at_word(uint8_t *calendar, int64_t *accesses, int64_t word, int32_t banks)
{
    return (cursor){calendar, accesses, tlm_modulo(word, banks), banks};
}

static void take(const cursor *c, int64_t cycle)
{
    c->calendar[cycle] |= (uint8_t)(1u << c->bank);
    c->accesses[c->bank]++;
}

static void next_word(cursor *c) { c->bank = tlm_turned(c->bank, 1, c->banks); }

static int64_t first_cycle(const tlm_layer *l, const tlm_occupancy_params *o)
{
    return (int64_t)o->header_words + tlm_group_slots(l, 0) + 1;
}

/* ---- instructions ---- */

static cursor instructions(const marking *m, int64_t word)
{
    return at_word(m->out->imem, m->out->instruction_reads, word, m->o->imem_banks);
}

static void mark_header(const marking *m)
{
    cursor c = instructions(m, m->o->program_word);
    for (int32_t i = 0; i < m->o->header_words; i++, next_word(&c)) take(&c, i);
}

/* One parameter word a cycle; a channel's word is read once for each of its entry slots. */
static void mark_parameters(const marking *m, int32_t group, int64_t cycle)
{
    cursor c = instructions(m, m->parameter_word);
    int32_t n = tlm_group_slots(m->l, group), repeats = m->l->t->words_per_channel;
    for (int32_t slot = 0; slot < n; slot++) {
        take(&c, cycle + slot);
        if ((slot + 1) % repeats == 0) next_word(&c);
    }
}

/* ---- a pass ---- */

/* Pattern word 0 is read in the cycle before the pass, word k in the first cycle spent on word k - 1; a step's weight
 * word in the last cycle of its fetch. */
static void mark_words(const marking *m, const tlm_calendar *cal, int32_t group, int32_t tile, int64_t cycle)
{
    const tlm_layer *l = m->l;
    const uint64_t *pattern = l->patterns + (int64_t)group * l->patterns_per_group;
    const int has_weights = m->o->weight_base_word >= 0;
    const int32_t words = tlm_patterns_of_group(l->g, group);
    cursor word = instructions(m, m->parameter_word + tlm_group_channels(l->g, group));
    cursor weight = at_word(m->out->wmem, m->out->weight_reads, m->weight_word, m->o->wmem_banks);
    take(&word, cycle - 1);
    for (int32_t p = 0; p < words; p++) {
        next_word(&word);
        if (p + 1 < words) take(&word, cycle);
        if (!pattern[p]) cycle++;
        const int64_t *fetch_of = cal->fetch_of + (int64_t)tile * l->taps + tlm_first_tap_of_pattern(l->g, p);
        const int32_t taps = tlm_taps_of_pattern(l->g, p);
        const uint64_t all_taps = tlm_low_bits(taps);
        for (uint64_t of_channel = pattern[p]; of_channel; of_channel >>= taps) {
            for (uint64_t bits = of_channel & all_taps; bits; bits &= bits - 1) {
                cycle += cal->fetches.at[fetch_of[tlm_lowest_bit(bits)]]; /* r */
                if (!has_weights) continue;
                take(&weight, cycle - 1);
                next_word(&weight);
            }
        }
    }
}

static int32_t turn_of_input(const marking *m)
{
    return tlm_modulo(m->l->g->input_base_word, m->l->t->amem_banks);
}

static void mark_fetches(marking *m, const tlm_calendar *cal, int64_t cycle)
{
    const uint8_t *turned = cal->turned[turn_of_input(m)], *sets = cal->banks.at;
    uint8_t *amem = m->out->amem + cycle;
    for (int64_t k = 0; k < cal->banks.size; k++) {
        amem[k] |= turned[sets[k]];
        m->cycles_with[sets[k]]++;
    }
}

static void count_fetches(const marking *m, const tlm_calendar *cal)
{
    const uint8_t *turned = cal->turned[turn_of_input(m)];
    for (int32_t set = 1; set < 1 << m->l->t->amem_banks; set++)
        for (int32_t bank = 0; bank < m->l->t->amem_banks; bank++)
            if (turned[set] >> bank & 1) m->out->aligner_reads[bank] += m->cycles_with[set];
}

static void mark_slots(cursor c, const int64_t *cycles, int32_t n, int32_t step, int64_t handover)
{
    for (int32_t j = 0; j < n; j++) {
        take(&c, handover + cycles[j]);
        c.bank = tlm_turned(c.bank, step, c.banks);
    }
}

/* The write-back of pass `index`, whose cycles count from its hand-over. */
static void mark_write_back(const marking *m, const tlm_slot_cycles *cycles, int32_t index)
{
    const tlm_layer *l = m->l;
    int32_t group = index / l->tiles, tile = index % l->tiles, banks = l->t->amem_banks;
    int32_t n = tlm_group_slots(l, group);
    int64_t handover = m->first_cycle + m->passes[index].handover_cycle;
    int64_t output = l->t->output_base_word + tlm_output_word(l, group, tile);
    int64_t residual = l->t->residual_base_word + tlm_residual_word(l, group, tile);
    mark_slots(at_word(m->out->amem, m->out->write_back, output, banks), cycles->write, n,
               l->t->output_plane_words % banks, handover);
    if (l->t->residual_base_word < 0) return;
    mark_slots(at_word(m->out->amem, m->out->residual_reads, residual, banks), cycles->residual_read, n,
               l->t->residual_plane_words % banks, handover);
}

/* ---- a layer ---- */

static void start_group(marking *m, int32_t group, int64_t parameter_cycle)
{
    if (group) {
        m->parameter_word += tlm_group_channels(m->l->g, group - 1) + tlm_patterns_of_group(m->l->g, group - 1);
        m->weight_word += m->passes[(int64_t)(group - 1) * m->l->tiles].steps;
    }
    mark_parameters(m, group, parameter_cycle);
}

/* Whether a cycle of the layer, counted from s_0, lies in the calendars. */
static int is_inside(const marking *m, int64_t cycle) { return m->first_cycle + cycle < m->out->cycles; }

static int mark_layer(marking *m, tlm_calendar *cal)
{
    const tlm_layer *l = m->l;
    int32_t last = l->groups * l->tiles - 1;
    tlm_slot_cycles cycles;
    if (!is_inside(m, 0)) return TLM_E_RANGE;
    mark_header(m);
    for (int32_t index = 0; index <= last; index++) {
        int32_t group = index / l->tiles, tile = index % l->tiles;
        int64_t before = index ? m->passes[index - 1].handover_cycle : 0;
        if (tlm_build_calendar(l, cal, group, tile)) return TLM_E_MEMORY;
        tlm_advance(l, cal, &m->placed, group, tile, m->passes + index, &cycles);
        if (!is_inside(m, m->passes[index].last_fetch_cycle)) return TLM_E_RANGE;
        if (index && !is_inside(m, m->passes[index - 1].last_write_cycle)) return TLM_E_RANGE;
        int64_t cycle = m->first_cycle + m->passes[index].first_cycle;
        if (tile == 0) start_group(m, group, index ? m->first_cycle + before + 1 : m->o->header_words);
        mark_fetches(m, cal, cycle);
        mark_words(m, cal, group, tile, cycle);
        if (index) mark_write_back(m, &cycles, index - 1);
    }
    cal->banks.size = 0; /* nothing is fetched during the last write-back */
    tlm_drain d = tlm_write_back(l, cal, &m->placed, l->groups - 1, l->tiles - 1, 0, &cycles);
    tlm_record_drain(m->passes + last, &m->placed, &d);
    if (!is_inside(m, m->passes[last].last_write_cycle)) return TLM_E_RANGE;
    mark_write_back(m, &cycles, last);
    m->out->cycles = m->first_cycle + m->passes[last].last_write_cycle + 1;
    count_fetches(m, cal);
    return 0;
}

/* ---- edge ---- */

int64_t tlm_first_cycle(const tlm_geometry *g, const tlm_timing_params *t, const tlm_occupancy_params *o)
{
    tlm_layer l = {.g = g, .t = t};
    return first_cycle(&l, o);
}

static int check(const tlm_layer *l, const tlm_occupancy_params *o)
{
    int64_t count = (int64_t)l->groups * l->tiles;
    return o->wmem_banks >= 1 && o->wmem_banks <= TLM_MAX_BANKS && o->imem_banks >= 1 &&
           o->imem_banks <= TLM_MAX_BANKS && o->header_words >= 0 && o->program_word >= 0 && count <= INT32_MAX;
}

int32_t tlm_occupy(const tlm_geometry *g, const tlm_timing_params *t, const tlm_occupancy_params *o,
                   const uint64_t *patterns, int32_t patterns_per_group, tlm_pass_times *passes, tlm_occupancy *out)
{
    tlm_layer l = {.g = g, .t = t, .patterns = patterns, .patterns_per_group = patterns_per_group};
    int status = tlm_describe_layer(&l);
    if (status) return status;
    if (!check(&l, o)) return TLM_E_RANGE;
    tlm_placement at = {g->input_base_word, t->output_base_word, t->residual_base_word};
    marking m = {.l = &l, .o = o, .passes = passes, .out = out, .placed = tlm_placed(at, t->amem_banks),
                 .first_cycle = first_cycle(&l, o), .parameter_word = (int64_t)o->program_word + o->header_words,
                 .weight_word = o->weight_base_word};
    tlm_calendar cal;
    status = tlm_open_calendar(&l, &cal);
    if (!status) status = mark_layer(&m, &cal);
    tlm_close_calendar(&cal);
    return status;
}
