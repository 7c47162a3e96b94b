#include "dram.h"

#include <string.h>

enum { BURSTS = 64, FIELDS = 3 };
enum { ROW, BANK }; /* fields of an access's number; the third is the column */
enum { COLUMN_FIRST, ROW_NEXT, UNASKED_LAST };

static const int64_t NEVER = INT64_MAX;

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }
static void not_before(int64_t *clock, int64_t to) { *clock = later(*clock, to); }

/* ---- two clocks ---- */

/* floor or ceil of n * a / b, for a * b < 2^63 */
static int64_t scaled_down(int64_t n, int64_t a, int64_t b) { return n / b * a + n % b * a / b; }
static int64_t scaled_up(int64_t n, int64_t a, int64_t b) { return n / b * a + (n % b * a + b - 1) / b; }

static int64_t cycle_within(const tlm_dram *d, int64_t clock)
{
    return scaled_down(clock, d->config.cycle_numerator, d->config.cycle_denominator);
}

static int64_t cycle_after(const tlm_dram *d, int64_t clock)
{
    return scaled_up(clock, d->config.cycle_numerator, d->config.cycle_denominator);
}

int64_t tlm_dram_clocks(const tlm_dram *d, int64_t cycle)
{
    return scaled_up(cycle, d->config.cycle_denominator, d->config.cycle_numerator);
}

/* ---- which command comes next ---- */

static int row_is_asked(const tlm_dram_channel *ch, int32_t bank, int64_t clock)
{
    for (int32_t i = 0; i < ch->queued; i++) {
        const tlm_dram_entry *e = &ch->queue[i];
        if (e->bank == bank && e->row == ch->banks[bank].row && e->visible_clock <= clock) return 1;
    }
    return 0;
}

/* An access stays behind an older one to the same place if either writes. */
static int has_older_twin(const tlm_dram_channel *ch, int32_t index)
{
    const tlm_dram_entry *e = &ch->queue[index];
    for (int32_t i = 0; i < index; i++)
        if (ch->queue[i].access == e->access && (ch->queue[i].is_write || e->is_write)) return 1;
    return 0;
}

typedef struct choice {
    int64_t clock;
    int32_t class, kind, rank, bank, entry;
} choice;

static void consider(choice *best, int64_t clock, int32_t class, int32_t kind, int32_t rank, int32_t bank, int32_t entry)
{
    if (clock < best->clock || (clock == best->clock && class < best->class))
        *best = (choice){clock, class, kind, rank, bank, entry};
}

static void consider_entry(const tlm_dram *d, const tlm_dram_channel *ch, int32_t index, int only, choice *best)
{
    const tlm_dram_entry *e = &ch->queue[index];
    const tlm_dram_bank *bank = &ch->banks[e->bank];
    const tlm_dram_rank *rank = &ch->ranks[e->rank];
    int64_t clock = later(ch->clock, e->visible_clock);
    int32_t kind, class = ROW_NEXT;
    if (bank->row == e->row) {
        kind = e->is_write ? TLM_WR : TLM_RD;
        class = COLUMN_FIRST;
        not_before(&clock, bank->next_column);
        not_before(&clock, e->is_write ? rank->next_write[e->group] : rank->next_read[e->group]);
        if (has_older_twin(ch, index)) return;
    } else if (bank->row < 0) {
        kind = TLM_ACT;
        not_before(&clock, bank->next_activate);
        not_before(&clock, rank->next_activate[e->group]);
        not_before(&clock, rank->activates[(rank->last_activate + 1) % 4] + d->config.tfaw);
    } else {
        kind = TLM_PRE;
        not_before(&clock, bank->next_precharge);
        if (!only && row_is_asked(ch, e->bank, clock)) return;
    }
    if (clock < rank->refresh_due) consider(best, clock, class, kind, e->rank, e->bank, index);
}

/* Rows that nobody asks for are closed, if the policy says so. */
static void consider_closing(const tlm_dram *d, const tlm_dram_channel *ch, choice *best)
{
    for (int32_t i = 0; i < d->config.ranks * d->config.banks; i++) {
        int64_t clock = later(ch->clock, ch->banks[i].next_precharge);
        int32_t rank = i / d->config.banks;
        if (ch->banks[i].row < 0 || clock >= ch->ranks[rank].refresh_due || row_is_asked(ch, i, clock)) continue;
        consider(best, clock, UNASKED_LAST, TLM_PRE, rank, i, -1);
    }
}

/* When a refresh is due, nothing else is issued to the rank: its rows are closed, then it is refreshed. */
static void consider_refresh(const tlm_dram *d, const tlm_dram_channel *ch, int32_t rank, choice *best)
{
    int64_t due = later(ch->clock, ch->ranks[rank].refresh_due), refresh = due;
    if (best->clock < due) return;
    for (int32_t i = rank * d->config.banks; i < (rank + 1) * d->config.banks; i++) {
        const tlm_dram_bank *bank = &ch->banks[i];
        if (bank->row >= 0) consider(best, later(due, bank->next_precharge), UNASKED_LAST, TLM_PRE, rank, i, -1);
        not_before(&refresh, bank->next_activate);
    }
    if (!ch->ranks[rank].open_banks) consider(best, refresh, UNASKED_LAST, TLM_REF, rank, -1, -1);
}

static void find_next(tlm_dram *d, int32_t channel)
{
    tlm_dram_channel *ch = &d->channels[channel];
    choice best = {NEVER, UNASKED_LAST, TLM_REF, 0, -1, -1};
    int only = ch->queued && (d->config.in_order || ch->queue[0].bypassed >= d->config.max_bypasses);
    int32_t candidates = only ? 1 : ch->queued;
    for (int32_t i = 0; i < candidates; i++) consider_entry(d, ch, i, only, &best);
    if (d->config.closed_page) consider_closing(d, ch, &best);
    for (int32_t rank = 0; rank < d->config.ranks; rank++) consider_refresh(d, ch, rank, &best);
    const tlm_dram_entry *e = best.entry < 0 ? 0 : &ch->queue[best.entry];
    ch->next = (tlm_dram_command){
        .clock = best.clock, .cycle = cycle_within(d, best.clock),
        .kind = best.kind, .channel = channel, .rank = best.rank,
        .row = best.kind == TLM_ACT ? e->row : best.bank < 0 ? -1 : ch->banks[best.bank].row,
        .bank = best.bank < 0 ? -1 : best.bank % d->config.banks, .column = best.class == COLUMN_FIRST ? e->column : -1,
        .entry = best.entry, .is_write = e ? e->is_write : 0, .burst = e ? (int32_t)e->burst : -1,
    };
}

/* ---- bursts enter the queues ---- */

static tlm_dram_burst *burst_at(tlm_dram_bursts *b, int64_t number) { return &b->ring[number % BURSTS]; }

static tlm_dram_entry entry_of(const tlm_dram *d, const tlm_dram_burst *b, int32_t *channel)
{
    const tlm_dram_config *c = &d->config;
    int64_t access = b->address / c->access_bytes + b->entered, rest = access / c->channels, field[FIELDS];
    int64_t sizes[FIELDS] = {c->rows, (int64_t)c->banks * c->ranks, c->row_accesses};
    *channel = (int32_t)(access % c->channels);
    for (int32_t i = 0; i < FIELDS; i++) {
        field[c->order[i]] = rest % sizes[c->order[i]];
        rest /= sizes[c->order[i]];
    }
    int32_t bank = (int32_t)field[BANK];
    return (tlm_dram_entry){
        .access = access, .row = field[ROW], .column = (int32_t)field[2], .position = b->entered,
        .rank = bank / c->banks, .bank = bank, .group = bank % c->bank_groups,
    };
}

/* Accesses enter in order of arrival, as long as there is room; places that were freed in a clock count from the next. */
static void admit(tlm_dram *d, int64_t from_clock)
{
    for (;;) {
        tlm_dram_bursts *read = &d->bursts[0], *write = &d->bursts[1], *from;
        int reads = read->entered < read->count, writes = write->entered < write->count;
        if (!reads && !writes) return;
        int is_write = !reads || (writes && burst_at(write, write->finished + write->entered)->number <
                                                burst_at(read, read->finished + read->entered)->number);
        from = is_write ? write : read;
        int64_t number = from->finished + from->entered;
        tlm_dram_burst *b = burst_at(from, number);
        int32_t channel;
        tlm_dram_entry entry = entry_of(d, b, &channel);
        tlm_dram_channel *ch = &d->channels[channel];
        if (ch->queued == d->config.queue_accesses) return;
        entry.visible_clock = later(b->visible_clock, from_clock);
        entry.burst = number;
        entry.is_write = is_write;
        ch->queue[ch->queued++] = entry;
        if (++b->entered == b->accesses) from->entered++;
        find_next(d, channel);
    }
}

int64_t tlm_dram_request(tlm_dram *d, int64_t cycle, int64_t address, int32_t beats, int32_t is_write)
{
    tlm_dram_bursts *bursts = &d->bursts[is_write];
    tlm_dram_burst *b = burst_at(bursts, bursts->finished + bursts->count++);
    int64_t visible_cycle = cycle;
    int64_t end = address % d->config.access_bytes + (int64_t)beats * d->config.bus_bytes;
    *b = (tlm_dram_burst){.address = address, .number = d->arrived++, .beats = beats};
    b->accesses = (int32_t)((end - 1) / d->config.access_bytes) + 1;
    for (int32_t i = 0; i < b->accesses; i++) b->done_cycle[i] = NEVER;
    if (is_write) {
        cycle = later(cycle, d->taken_cycle);
        d->taken_cycle = visible_cycle = cycle + beats;
    }
    b->visible_clock = tlm_dram_clocks(d, visible_cycle);
    admit(d, 0);
    return cycle;
}

/* ---- what a command changes ---- */

static void activated(tlm_dram *d, tlm_dram_channel *ch, const tlm_dram_command *c, int32_t at)
{
    const tlm_dram_config *t = &d->config;
    tlm_dram_bank *bank = &ch->banks[at];
    tlm_dram_rank *rank = &ch->ranks[c->rank];
    bank->row = c->row;
    bank->next_column = c->clock + t->trcd;
    not_before(&bank->next_precharge, c->clock + t->tras);
    for (int32_t g = 0; g < t->bank_groups; g++)
        not_before(&rank->next_activate[g], c->clock + (g == at % t->bank_groups ? t->trrd_l : t->trrd));
    rank->last_activate = (rank->last_activate + 1) % 4;
    rank->activates[rank->last_activate] = c->clock;
    if (!rank->open_banks++) rank->active_since = c->clock;
    ch->queue[c->entry].activated = 1;
}

static void precharged(tlm_dram *d, tlm_dram_channel *ch, const tlm_dram_command *c, int32_t at)
{
    tlm_dram_rank *rank = &ch->ranks[c->rank];
    ch->banks[at].row = -1;
    not_before(&ch->banks[at].next_activate, c->clock + d->config.trp);
    if (!--rank->open_banks) d->counts.active_clocks += c->clock - rank->active_since;
    if (c->entry >= 0) ch->queue[c->entry].precharged = 1;
}

static void refreshed(tlm_dram *d, tlm_dram_channel *ch, const tlm_dram_command *c)
{
    tlm_dram_rank *rank = &ch->ranks[c->rank];
    for (int32_t i = 0; i < d->config.banks; i++)
        ch->banks[c->rank * d->config.banks + i].next_activate = c->clock + d->config.trfc;
    rank->refresh_due += d->config.trefi;
    rank->refresh_end = c->clock + d->config.trfc;
    d->counts.refresh_clocks += d->config.trfc;
}

/* The next column commands of a channel: the data bus, and the turn between reading and writing. */
static void hold_columns(const tlm_dram_config *t, tlm_dram_channel *ch, const tlm_dram_command *c, int32_t group)
{
    for (int32_t r = 0; r < t->ranks; r++) {
        for (int32_t g = 0; g < t->bank_groups; g++) {
            int same = r == c->rank;
            int32_t same_way = !same ? t->burst + t->trtrs : g == group ? t->tccd_l : t->tccd;
            int32_t to_read = same ? t->cwl + t->burst + (g == group ? t->twtr_l : t->twtr)
                                   : t->cwl + t->burst + t->trtrs - t->cl;
            not_before(&ch->ranks[r].next_read[g], c->clock + (c->is_write ? to_read : same_way));
            not_before(&ch->ranks[r].next_write[g], c->clock + (c->is_write ? same_way : t->trtw));
        }
    }
}

/* The access could have been issued when it was visible and the data bus free for it, had its row been open. What it
 * lost since then to its rank's last refresh, from when that was due, and to its row, as its data's delay in cycles. */
static void note_delay(tlm_dram *d, const tlm_dram_rank *rank, const tlm_dram_entry *e, int64_t clock, int64_t end)
{
    int64_t ready = later(e->visible_clock, e->is_write ? rank->next_write[e->group] : rank->next_read[e->group]);
    int64_t due = later(rank->refresh_due - d->config.trefi, ready), refresh = later(rank->refresh_end - due, 0);
    int64_t refreshed_end = end - (clock - ready) + refresh;
    tlm_dram_burst *b = burst_at(&d->bursts[e->is_write], e->burst);
    b->row_cycles[e->position] = (int32_t)(cycle_after(d, end) - cycle_after(d, refreshed_end));
    b->refresh_cycles[e->position] = (int32_t)(cycle_after(d, refreshed_end) - cycle_after(d, refreshed_end - refresh));
}

static void moved(tlm_dram *d, tlm_dram_channel *ch, const tlm_dram_command *c, int32_t at)
{
    const tlm_dram_config *t = &d->config;
    tlm_dram_entry *e = &ch->queue[c->entry];
    tlm_dram_bursts *bursts = &d->bursts[c->is_write];
    int64_t end = c->clock + (c->is_write ? t->cwl : t->cl) + t->burst;
    note_delay(d, &ch->ranks[c->rank], e, c->clock, end);
    hold_columns(t, ch, c, e->group);
    not_before(&ch->banks[at].next_precharge, c->is_write ? end + t->twr : c->clock + t->trtp);
    burst_at(bursts, e->burst)->done_cycle[e->position] = cycle_after(d, end);
    if (e->precharged) bursts->conflicts++;
    else if (e->activated) bursts->misses++;
    else bursts->hits++;
    if (c->entry && ch->queue[0].visible_clock <= c->clock) ch->queue[0].bypassed++;
    memmove(e, e + 1, (size_t)(--ch->queued - c->entry) * sizeof *e);
}

static int32_t next_channel(const tlm_dram *d)
{
    int32_t first = 0;
    for (int32_t i = 1; i < d->config.channels; i++)
        if (d->channels[i].next.clock < d->channels[first].next.clock) first = i;
    return first;
}

int32_t tlm_dram_step(tlm_dram *d, int64_t cycle, tlm_dram_command *out)
{
    int32_t channel = next_channel(d);
    tlm_dram_channel *ch = &d->channels[channel];
    if (ch->next.cycle > cycle) return 0;
    *out = ch->next;
    int32_t at = out->rank * d->config.banks + out->bank;
    ch->clock = out->clock + 1;
    d->counts.commands[out->kind]++;
    if (out->kind == TLM_ACT) activated(d, ch, out, at);
    else if (out->kind == TLM_PRE) precharged(d, ch, out, at);
    else if (out->kind == TLM_REF) refreshed(d, ch, out);
    else moved(d, ch, out, at);
    find_next(d, channel);
    if (out->kind == TLM_RD || out->kind == TLM_WR) admit(d, out->clock + 1);
    return 1;
}

void tlm_dram_play(tlm_dram *d, int64_t cycle)
{
    tlm_dram_command ignored;
    while (tlm_dram_step(d, cycle, &ignored)) continue;
}

/* ---- beats and answers ---- */

/* The accesses, first to before end, of the beat that is read next, or of the write that is answered next. */
static void accesses_of(const tlm_dram *d, const tlm_dram_burst *b, int32_t is_write, int64_t *first, int64_t *end)
{
    int64_t at = b->address % d->config.access_bytes + (int64_t)b->served * d->config.bus_bytes;
    *first = at / d->config.access_bytes;
    *end = (at + (int64_t)d->config.bus_bytes * (is_write ? b->beats : 1) - 1) / d->config.access_bytes + 1;
}

/* The next cycle in which a beat is read, or a write answered, as far as it is known; NEVER: not known. */
static int64_t serve_cycle(const tlm_dram *d, int32_t is_write)
{
    const tlm_dram_bursts *bursts = &d->bursts[is_write];
    if (!bursts->count) return NEVER;
    const tlm_dram_burst *b = &bursts->ring[bursts->finished % BURSTS];
    int64_t cycle = bursts->next_serve_cycle, first, end;
    accesses_of(d, b, is_write, &first, &end);
    for (int64_t i = first; i < end; i++) not_before(&cycle, b->done_cycle[i]);
    return cycle;
}

/* What a beat's or write's accesses were late, as far as nothing was served then: first for refresh, then for the row. */
static void keep_losses(const tlm_dram *d, tlm_dram_bursts *bursts, const tlm_dram_burst *b, int32_t is_write)
{
    int64_t from = bursts->next_serve_cycle, first, end;
    accesses_of(d, b, is_write, &first, &end);
    for (int64_t i = first; bursts->losses && i < end; i++) {
        int64_t end_cycle = b->done_cycle[i], refreshed_cycle = end_cycle - b->row_cycles[i];
        int64_t edges[] = {refreshed_cycle - b->refresh_cycles[i], refreshed_cycle, end_cycle};
        not_before(&from, edges[0]);
        for (int32_t row = 0; row < 2; not_before(&from, edges[++row]))
            if (from < edges[row + 1]) bursts->losses[bursts->loss_count++] = (tlm_dram_loss){from, edges[row + 1], row};
    }
}

int32_t tlm_dram_serve(tlm_dram *d, int64_t cycle, int32_t is_write)
{
    if (serve_cycle(d, is_write) > cycle) return 0;
    tlm_dram_bursts *bursts = &d->bursts[is_write];
    tlm_dram_burst *b = burst_at(bursts, bursts->finished);
    int32_t beats = is_write ? b->beats : 1;
    keep_losses(d, bursts, b, is_write);
    bursts->next_serve_cycle = cycle + 1;
    b->served += beats;
    if (b->served == b->beats) {
        bursts->finished++;
        bursts->count--;
        bursts->entered--;
    }
    return beats;
}

int64_t tlm_dram_next_cycle(const tlm_dram *d)
{
    int64_t serve = earlier(serve_cycle(d, 0), serve_cycle(d, 1));
    return earlier(serve, d->channels[next_channel(d)].next.cycle);
}

/* ---- the beginning, and counts ---- */

void tlm_dram_reset(tlm_dram *d, const tlm_dram_config *config)
{
    memset(d, 0, sizeof *d);
    d->config = *config;
    for (int32_t channel = 0; channel < config->channels; channel++) {
        tlm_dram_channel *ch = &d->channels[channel];
        for (int32_t i = 0; i < config->ranks * config->banks; i++) ch->banks[i].row = -1;
        for (int32_t i = 0; i < config->ranks; i++) {
            ch->ranks[i].refresh_due = config->trefi;
            for (int32_t k = 0; k < 4; k++) ch->ranks[i].activates[k] = -config->tfaw;
        }
        find_next(d, channel);
    }
}

void tlm_dram_counts_at(const tlm_dram *d, int64_t cycle, tlm_dram_counts *out)
{
    *out = d->counts;
    int64_t clock = tlm_dram_clocks(d, cycle);
    for (int32_t channel = 0; channel < d->config.channels; channel++) {
        for (int32_t i = 0; i < d->config.ranks; i++) {
            const tlm_dram_rank *rank = &d->channels[channel].ranks[i];
            if (rank->open_banks) out->active_clocks += clock - rank->active_since;
            out->refresh_clocks -= later(rank->refresh_end - clock, 0);
        }
    }
}
