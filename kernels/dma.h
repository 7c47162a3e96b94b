/* The DMA's two channels, the interconnect's lane to the off-chip memory and that memory, advanced together cycle by
 * cycle. A model of the engine answers each SRAM access, if it is asked in its cycle (tlm_dma_engine); bytes then move,
 * too. Otherwise the engine's bank calendars (occupancy.h) answer, and there are only times and counts.
 *
 * In a cycle t, in this order (docs/timing.md) [A]:
 *   load     handles the beats that the memory served before t and writes one complete word to its SRAM; a burst's
 *            buffer, free in t, can be taken from t + 1 on
 *   store    reads one word of its SRAM, if the load channel has not just taken the bank; the engine comes before both
 *   request  one burst crosses to the memory, the load's before the store's, and arrives in t + 1
 *   memory   serves at most one beat, of the burst that arrived first; DRAM (dram.h) instead a beat of a load's burst and
 *            the answer to a store's
 * Nothing that a stage does is seen by another one before t + 1, but for the load's SRAM access and request. Cycles in
 * which nothing can happen are skipped. The state is a plain struct: a copy of it is what a look ahead works on. Only
 * arrival_cycles is shared with the copy: what a look ahead writes there is written again when it happens.
 */
#ifndef TLM_DMA_H
#define TLM_DMA_H

#include "dram.h"

/* cdef begin */
typedef struct tlm_dma_config {
    int64_t beat_cycles;                 /* the memory's pace: from beat to beat beat_cycles + */
    int64_t beat_numerator, beat_denominator; /* beat_numerator / beat_denominator cycles */
    int64_t latency_cycles;              /* a burst's arrival at the memory to its first beat */
    int32_t bus_bytes, burst_bytes, bursts_in_flight, sram_read_cycles;
    int32_t word_bytes[3], banks[3];     /* of AMem, WMem, IMem */
} tlm_dma_config;

typedef struct tlm_dma_transfer {        /* addresses count SRAM words and off-chip bytes */
    int64_t first_cycle;                 /* in which the channel begins to move */
    int64_t memory_offset_bytes, memory_stride_bytes;
    int32_t sram, sram_word, row_words, rows, sram_stride_words; /* sram: 0 AMem, 1 WMem, 2 IMem */
    uint8_t *data;                       /* the transfer's bytes on their way, row by row; only with an engine */
    int64_t *arrival_cycles;             /* room for one of each burst: its arrival at the memory */
} tlm_dma_transfer;

typedef struct tlm_dma_engine {          /* a model of the engine, and the off-chip memory's bytes */
    int32_t (*access)(void *self, int32_t channel, int32_t sram, int32_t word, uint8_t *data); /* 0: refused */
    void *self;
    uint8_t *memory;
} tlm_dma_engine;

typedef struct tlm_dma_cursor {          /* a burst of a transfer */
    int64_t position_bytes;              /* where it begins, from the start of its row */
    int32_t size_bytes;
    int32_t row;                         /* equal to rows: behind the last burst */
} tlm_dma_cursor;

typedef struct tlm_dma_burst {           /* a burst on its way */
    int64_t cycle, address;              /* from which it can be requested; in the memory's queue: its arrival */
    int32_t beats, channel;
} tlm_dma_burst;

typedef struct tlm_dma_channel {
    tlm_dma_transfer transfer;
    int32_t active;                      /* a transfer is under way, or its completion is not yet past */
    int64_t done_cycle;                  /* of its last write, or of the last answer; -1: not yet known */
    int64_t usable_cycle[64];            /* of each free burst buffer, a ring */
    int32_t first_free, free_buffers;
    tlm_dma_cursor next_burst;           /* load: to be requested; store: to be collected */
    int64_t next_request_cycle;          /* load: the earliest */
    int32_t requested_bursts;            /* of this transfer */
    int64_t next_word_cycle;             /* the earliest for the next SRAM access: one a cycle */
    int32_t word_row, word_in_row;       /* the next SRAM word */
    int32_t collected_bytes;             /* load: received and not yet written; store: read and not yet sent */
    tlm_dma_cursor arriving;             /* load: the burst whose beats are handled next, */
    int32_t arriving_bytes;              /*       its bytes not yet handled, */
    int32_t ends_burst;                  /*       and: all handled, but not every word that ends in it is written */
    int64_t served_beats;                /* load: served by the memory and not yet handled */
    int64_t served_bytes;                /* of this transfer, by the memory */
    int32_t holds_buffer;                /* store: for next_burst */
    tlm_dma_burst sends[64];             /* store: collected bursts, a ring, oldest first */
    int32_t first_send, send_count;
    int64_t refused, words, beats;       /* since the beginning: SRAM accesses refused and granted, bus beats */
    int64_t accesses[3][8], refusals[3][8]; /* [SRAM][bank] */
    int64_t last_attempt_cycle[3];       /* at each SRAM, granted or not; -1: none */
} tlm_dma_channel;

typedef struct tlm_dma_calendar {        /* the engine's banks from first_cycle on; free before and behind */
    const uint8_t *banks;
    int64_t first_cycle, cycles;
} tlm_dma_calendar;

typedef struct tlm_dma {
    tlm_dma_config config;
    int64_t now;                         /* everything in earlier cycles has happened */
    tlm_dma_engine engine;               /* access: null without one */
    tlm_dram *dram;                      /* null: a memory of fixed latency and pace */
    tlm_dma_channel channels[2];         /* load, store */
    tlm_dma_calendar calendars[3];
    int64_t loaded_cycle;                /* of the load's last SRAM access, */
    int32_t loaded_sram, loaded_bank;    /* and where it was */
    tlm_dma_burst queue[128];            /* at the memory, a ring, oldest first */
    int32_t first_queued, queued;
    int64_t free_cycle, free_numerator;  /* when the memory can serve its next beat: a fraction, as beat_cycles */
} tlm_dma;

/* A DMA at rest in cycle 0, with free SRAMs. bursts_in_flight: 1 .. 64; banks: 1, 2, 4 or 8. dram: null, or in its
 * first clock; time advances it. */
void tlm_dma_reset(tlm_dma *d, const tlm_dma_config *config, tlm_dram *dram);

/* Make *d what *from is; each keeps its own DRAM, which becomes equal, too. */
void tlm_dma_copy(tlm_dma *d, const tlm_dma *from);

/* Start a channel (0 load, 1 store) that is not active; transfer->first_cycle >= d->now. */
void tlm_dma_start(tlm_dma *d, int32_t channel, const tlm_dma_transfer *transfer);

/* Let everything in cycles before until_cycle happen. Channels whose transfer is complete then become inactive; bit c
 * of the result is set for each channel that did. */
int32_t tlm_dma_advance(tlm_dma *d, int64_t until_cycle);

/* The cycle in which the next transfer completes, if nothing else becomes known, and in *channel which one (the load if
 * both do); -1 if no channel is active. *ahead is overwritten with what *d will then be, up to ahead->now; it has been
 * reset like *d, with a DRAM of its own. */
int64_t tlm_dma_next_completion(const tlm_dma *d, tlm_dma *ahead, int32_t *channel);

/* No transfer completes before this cycle, whatever becomes known; -1 if no channel is active. Costs nothing, so that a
 * look ahead is made only when a completion is near: else each of many reservations beside a long transfer would look to
 * its end. */
int64_t tlm_dma_earliest_completion(const tlm_dma *d);
/* cdef end */

enum { TLM_DMA_LOAD, TLM_DMA_STORE };

#endif
