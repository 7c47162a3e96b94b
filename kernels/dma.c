#include "dma.h"

#include <string.h>

enum { SRAMS = 3, BUFFERS = 64, QUEUE = 2 * BUFFERS };

static const int64_t NEVER = INT64_MAX;

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- transfers and bursts ---- */

static int64_t row_bytes(const tlm_dma *d, const tlm_dma_transfer *x)
{
    return (int64_t)x->row_words * d->config.word_bytes[x->sram];
}

static int at_end(const tlm_dma_channel *c, const tlm_dma_cursor *at) { return at->row == c->transfer.rows; }

/* The burst at a place of a row: bursts do not cross multiples of the burst length, nor the row's end. */
static tlm_dma_cursor burst_at(const tlm_dma *d, const tlm_dma_channel *c, int32_t row, int64_t position_bytes)
{
    const tlm_dma_transfer *x = &c->transfer;
    int64_t address = x->memory_offset_bytes + row * x->memory_stride_bytes + position_bytes;
    int64_t room = d->config.burst_bytes - address % d->config.burst_bytes;
    return (tlm_dma_cursor){position_bytes, (int32_t)earlier(room, row_bytes(d, x) - position_bytes), row};
}

static void next_burst(const tlm_dma *d, const tlm_dma_channel *c, tlm_dma_cursor *at)
{
    int64_t end = at->position_bytes + at->size_bytes;
    *at = end < row_bytes(d, &c->transfer) ? burst_at(d, c, at->row, end) : burst_at(d, c, at->row + 1, 0);
}

static int64_t address_of(const tlm_dma_channel *c, const tlm_dma_cursor *at)
{
    return c->transfer.memory_offset_bytes + at->row * c->transfer.memory_stride_bytes + at->position_bytes;
}

static int32_t beats_of(const tlm_dma *d, const tlm_dma_cursor *at)
{
    return (at->size_bytes + d->config.bus_bytes - 1) / d->config.bus_bytes;
}

static void free_buffer(tlm_dma_channel *c, int64_t usable_cycle)
{
    c->usable_cycle[(c->first_free + c->free_buffers++) % BUFFERS] = usable_cycle;
}

static int64_t buffer_cycle(const tlm_dma_channel *c)
{
    return c->free_buffers ? c->usable_cycle[c->first_free] : NEVER;
}

static int take_buffer(tlm_dma_channel *c, int64_t t)
{
    if (buffer_cycle(c) > t) return 0;
    c->first_free = (c->first_free + 1) % BUFFERS;
    c->free_buffers--;
    return 1;
}

/* ---- SRAM ---- */

static uint32_t engine_banks(const tlm_dma_calendar *calendar, int64_t t)
{
    int64_t k = t - calendar->first_cycle;
    return k >= 0 && k < calendar->cycles ? calendar->banks[k] : 0;
}

static int taken_by_calendar(const tlm_dma *d, int32_t sram, int32_t bank, int64_t t)
{
    int loaded = d->loaded_cycle == t && d->loaded_sram == sram && d->loaded_bank == bank;
    return loaded || engine_banks(&d->calendars[sram], t) >> bank & 1;
}

static int taken_by_engine(const tlm_dma *d, int32_t channel, int32_t word)
{
    const tlm_dma_channel *c = &d->channels[channel];
    const tlm_dma_transfer *x = &c->transfer;
    int64_t index = (int64_t)c->word_row * x->row_words + c->word_in_row;
    return !d->engine.access(d->engine.self, channel, x->sram, word, x->data + index * d->config.word_bytes[x->sram]);
}

/* Ask for the channel's next word in cycle t; 0: refused. */
static int access_word(tlm_dma *d, int32_t channel, int64_t t)
{
    tlm_dma_channel *c = &d->channels[channel];
    const tlm_dma_transfer *x = &c->transfer;
    int32_t word = x->sram_word + c->word_row * x->sram_stride_words + c->word_in_row;
    int32_t sram = x->sram, bank = word & (d->config.banks[sram] - 1);
    c->last_attempt_cycle[sram] = t;
    if (d->engine.access ? taken_by_engine(d, channel, word) : taken_by_calendar(d, sram, bank, t)) {
        c->refused++;
        c->refusals[sram][bank]++;
        return 0;
    }
    if (channel == TLM_DMA_LOAD) {
        d->loaded_cycle = t;
        d->loaded_sram = sram;
        d->loaded_bank = bank;
    }
    c->words++;
    c->accesses[sram][bank]++;
    c->next_word_cycle = t + 1;
    if (++c->word_in_row == x->row_words) {
        c->word_in_row = 0;
        c->word_row++;
    }
    return 1;
}

/* ---- the four stages of a cycle ---- */

static void handle_beat(const tlm_dma *d, tlm_dma_channel *c)
{
    int32_t bytes = c->arriving_bytes < d->config.bus_bytes ? c->arriving_bytes : d->config.bus_bytes;
    c->served_beats--;
    c->collected_bytes += bytes;
    c->arriving_bytes -= bytes;
    if (c->arriving_bytes) return;
    c->ends_burst = 1;
    next_burst(d, c, &c->arriving);
    c->arriving_bytes = c->arriving.size_bytes;
}

static void load_words(tlm_dma *d, int64_t t)
{
    tlm_dma_channel *c = &d->channels[TLM_DMA_LOAD];
    while (c->active && c->done_cycle < 0) {
        int32_t word_bytes = d->config.word_bytes[c->transfer.sram];
        if (c->collected_bytes >= word_bytes) {
            if (t < c->next_word_cycle || !access_word(d, TLM_DMA_LOAD, t)) return;
            c->collected_bytes -= word_bytes;
        } else if (c->ends_burst) {
            c->ends_burst = 0;
            free_buffer(c, t + 1);
            if (at_end(c, &c->arriving)) c->done_cycle = t;
        } else if (c->served_beats) {
            handle_beat(d, c);
        } else {
            return;
        }
    }
}

static void store_words(tlm_dma *d, int64_t t)
{
    tlm_dma_channel *c = &d->channels[TLM_DMA_STORE];
    if (!c->active || t < c->transfer.first_cycle) return;
    while (!at_end(c, &c->next_burst)) {
        if (!c->holds_buffer && !take_buffer(c, t)) return;
        c->holds_buffer = 1;
        if (t < c->next_word_cycle) return;
        if (c->collected_bytes < c->next_burst.size_bytes) {
            if (access_word(d, TLM_DMA_STORE, t)) c->collected_bytes += d->config.word_bytes[c->transfer.sram];
            return;
        }
        /* The last word was read before t; its data are out sram_read_cycles after its read. */
        c->sends[(c->first_send + c->send_count++) % BUFFERS] =
            (tlm_dma_burst){t + d->config.sram_read_cycles - 1, address_of(c, &c->next_burst),
                            beats_of(d, &c->next_burst), TLM_DMA_STORE};
        c->collected_bytes -= c->next_burst.size_bytes;
        c->holds_buffer = 0;
        next_burst(d, c, &c->next_burst);
    }
}

/* The memory turns to its oldest burst: its first beat comes latency_cycles after its arrival or later. */
static void begin_burst(tlm_dma *d)
{
    int64_t earliest = d->queue[d->first_queued].cycle + d->config.latency_cycles;
    if (d->free_cycle >= earliest) return;
    d->free_cycle = earliest;
    d->free_numerator = 0;
}

/* A burst that crosses in t arrives in t + 1. */
static void send(tlm_dma *d, int64_t t, int32_t channel, int64_t address, int32_t beats)
{
    d->channels[channel].transfer.arrival_cycles[d->channels[channel].requested_bursts++] = t + 1;
    if (d->dram) tlm_dram_request(d->dram, t + 1, address, beats, channel == TLM_DMA_STORE);
    if (d->dram) return;
    d->queue[(d->first_queued + d->queued) % QUEUE] = (tlm_dma_burst){t + 1, address, beats, channel};
    if (!d->queued++) begin_burst(d);
}

static void request(tlm_dma *d, int64_t t)
{
    tlm_dma_channel *load = &d->channels[TLM_DMA_LOAD], *store = &d->channels[TLM_DMA_STORE];
    if (load->active && !at_end(load, &load->next_burst) && t >= load->next_request_cycle && take_buffer(load, t)) {
        send(d, t, TLM_DMA_LOAD, address_of(load, &load->next_burst), beats_of(d, &load->next_burst));
        load->next_request_cycle = t + 1;
        next_burst(d, load, &load->next_burst);
    } else if (store->send_count && store->sends[store->first_send].cycle <= t) {
        const tlm_dma_burst *burst = &store->sends[store->first_send];
        send(d, t, TLM_DMA_STORE, burst->address, burst->beats);
        store->first_send = (store->first_send + 1) % BUFFERS;
        store->send_count--;
    }
}

static int64_t serve_cycle(const tlm_dma *d)
{
    if (d->dram) return tlm_dram_next_cycle(d->dram);
    return d->queued ? d->free_cycle + (d->free_numerator > 0) : NEVER;
}

/* A beat of consecutive bytes: bursts are cut at multiples of the bus width and at the row's end. */
static void move_beat(const tlm_dma *d, tlm_dma_channel *c, int32_t channel)
{
    const tlm_dma_transfer *x = &c->transfer;
    int64_t row = c->served_bytes / row_bytes(d, x), position = c->served_bytes % row_bytes(d, x);
    int64_t bytes = earlier(d->config.bus_bytes, row_bytes(d, x) - position);
    uint8_t *inside = x->data + c->served_bytes;
    uint8_t *outside = d->engine.memory + x->memory_offset_bytes + row * x->memory_stride_bytes + position;
    if (channel == TLM_DMA_LOAD) memcpy(inside, outside, (size_t)bytes);
    else memcpy(outside, inside, (size_t)bytes);
    c->served_bytes += bytes;
}

static void serve_beats(tlm_dma *d, int32_t channel, int32_t beats)
{
    tlm_dma_channel *c = &d->channels[channel];
    c->beats += beats;
    if (channel == TLM_DMA_LOAD) c->served_beats += beats;
    for (int32_t i = 0; d->engine.access && i < beats; i++) move_beat(d, c, channel);
}

/* The answer to a store's last beat is there in t + 1. */
static void answer_store(tlm_dma *d, int64_t t)
{
    tlm_dma_channel *c = &d->channels[TLM_DMA_STORE];
    free_buffer(c, t + 2);
    if (at_end(c, &c->next_burst) && c->free_buffers == d->config.bursts_in_flight) c->done_cycle = t + 1;
}

static void serve_dram(tlm_dma *d, int64_t t)
{
    tlm_dram_play(d->dram, t);
    serve_beats(d, TLM_DMA_LOAD, tlm_dram_serve(d->dram, t, 0));
    int32_t written = tlm_dram_serve(d->dram, t, 1);
    serve_beats(d, TLM_DMA_STORE, written);
    if (written) answer_store(d, t);
}

static void serve(tlm_dma *d, int64_t t)
{
    if (serve_cycle(d) > t) return;
    if (d->dram) {
        serve_dram(d, t);
        return;
    }
    tlm_dma_burst *burst = &d->queue[d->first_queued];
    serve_beats(d, burst->channel, 1);
    d->free_cycle += d->config.beat_cycles;
    d->free_numerator += d->config.beat_numerator;
    if (d->free_numerator >= d->config.beat_denominator) {
        d->free_numerator -= d->config.beat_denominator;
        d->free_cycle++;
    }
    if (--burst->beats) return;
    if (burst->channel == TLM_DMA_STORE) answer_store(d, t);
    d->first_queued = (d->first_queued + 1) % QUEUE;
    if (--d->queued) begin_burst(d);
}

/* ---- time ---- */

static int64_t next_load_cycle(const tlm_dma *d)
{
    const tlm_dma_channel *c = &d->channels[TLM_DMA_LOAD];
    if (!c->active || c->done_cycle >= 0) return NEVER;
    if (c->collected_bytes >= d->config.word_bytes[c->transfer.sram] || c->served_beats) return c->next_word_cycle;
    return NEVER;
}

static int64_t next_store_cycle(const tlm_dma *d)
{
    const tlm_dma_channel *c = &d->channels[TLM_DMA_STORE];
    if (!c->active || at_end(c, &c->next_burst)) return NEVER;
    return later(c->next_word_cycle, c->holds_buffer ? 0 : buffer_cycle(c));
}

static int64_t next_request_cycle(const tlm_dma *d)
{
    const tlm_dma_channel *load = &d->channels[TLM_DMA_LOAD], *store = &d->channels[TLM_DMA_STORE];
    int64_t t = store->send_count ? store->sends[store->first_send].cycle : NEVER;
    if (!load->active || at_end(load, &load->next_burst)) return t;
    return earlier(t, later(load->next_request_cycle, buffer_cycle(load)));
}

/* The first cycle from `now` on in which a stage may have something to do. */
static int64_t next_cycle(const tlm_dma *d)
{
    int64_t words = earlier(next_load_cycle(d), next_store_cycle(d));
    return later(earlier(words, earlier(next_request_cycle(d), serve_cycle(d))), d->now);
}

static void play(tlm_dma *d, int64_t t)
{
    load_words(d, t);
    store_words(d, t);
    request(d, t);
    serve(d, t);
    d->now = t + 1;
}

/* The first completion that is known, by channel: -1 if none is. */
static int32_t first_done(const tlm_dma *d)
{
    int32_t first = -1;
    for (int32_t i = 0; i < 2; i++) {
        const tlm_dma_channel *c = &d->channels[i];
        if (c->active && c->done_cycle >= 0 && (first < 0 || c->done_cycle < d->channels[first].done_cycle)) first = i;
    }
    return first;
}

void tlm_dma_copy(tlm_dma *d, const tlm_dma *from)
{
    tlm_dram *own = d->dram;
    *d = *from;
    d->dram = own;
    if (own) *own = *from->dram;
}

void tlm_dma_reset(tlm_dma *d, const tlm_dma_config *config, tlm_dram *dram)
{
    memset(d, 0, sizeof *d);
    d->config = *config;
    d->dram = dram;
    d->loaded_cycle = -1;
    for (int32_t i = 0; i < 2; i++) {
        tlm_dma_channel *c = &d->channels[i];
        c->free_buffers = config->bursts_in_flight;
        for (int32_t sram = 0; sram < SRAMS; sram++) c->last_attempt_cycle[sram] = -1;
    }
}

void tlm_dma_start(tlm_dma *d, int32_t channel, const tlm_dma_transfer *transfer)
{
    tlm_dma_channel *c = &d->channels[channel];
    c->transfer = *transfer;
    c->active = 1;
    c->done_cycle = -1;
    c->next_burst = c->arriving = burst_at(d, c, 0, 0);
    c->arriving_bytes = c->arriving.size_bytes;
    c->next_request_cycle = c->next_word_cycle = transfer->first_cycle;
    c->word_row = c->word_in_row = c->collected_bytes = c->requested_bursts = 0;
    c->served_bytes = 0;
}

int32_t tlm_dma_advance(tlm_dma *d, int64_t until_cycle)
{
    int32_t completed = 0;
    for (int64_t t = next_cycle(d); t < until_cycle; t = next_cycle(d)) play(d, t);
    d->now = later(d->now, until_cycle);
    for (int32_t i = 0; i < 2; i++) {
        tlm_dma_channel *c = &d->channels[i];
        if (!c->active || c->done_cycle < 0 || c->done_cycle >= d->now) continue;
        c->active = 0;
        completed |= 1 << i;
    }
    return completed;
}

int64_t tlm_dma_next_completion(const tlm_dma *d, tlm_dma *ahead, int32_t *channel)
{
    tlm_dma_copy(ahead, d);
    if (!d->channels[TLM_DMA_LOAD].active && !d->channels[TLM_DMA_STORE].active) return -1;
    for (;;) {
        int64_t t = next_cycle(ahead);
        *channel = first_done(ahead);
        if (*channel >= 0 && ahead->channels[*channel].done_cycle < t) return ahead->channels[*channel].done_cycle;
        play(ahead, t); /* an active channel that is not done always has something to do: t is not NEVER */
    }
}

/* What is left takes at least a cycle for each word and the memory's pace for each beat. */
static int64_t least_cycles(const tlm_dma *d, const tlm_dma_channel *c, int32_t channel)
{
    const tlm_dma_transfer *x = &c->transfer;
    int64_t words = (int64_t)(x->rows - c->word_row) * x->row_words - c->word_in_row;
    int64_t bytes = words * d->config.word_bytes[x->sram] - (channel == TLM_DMA_LOAD ? c->collected_bytes : 0);
    int64_t beats = bytes / d->config.bus_bytes - (channel == TLM_DMA_LOAD ? c->served_beats : 0);
    return later(later(words - 1, (beats - 1) * d->config.beat_cycles - 1), 0);
}

int64_t tlm_dma_earliest_completion(const tlm_dma *d)
{
    int64_t least = NEVER;
    for (int32_t i = 0; i < 2; i++) {
        const tlm_dma_channel *c = &d->channels[i];
        if (!c->active) continue;
        least = earlier(least, c->done_cycle >= 0 ? c->done_cycle : d->now + least_cycles(d, c, i));
    }
    return least == NEVER ? -1 : least;
}
