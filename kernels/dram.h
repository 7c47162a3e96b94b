/* Off-chip DRAM behind its controller: banks, rows, refresh, and which command is issued in which DRAM clock. Both
 * fidelities use it: fidelity "cycle" a command at a time, fidelity "pass" a core cycle at a time (docs/memory.md).
 *
 * A DRAM clock n begins cycle_numerator / cycle_denominator * n core cycles after the start; all times in between are
 * integers. A burst that arrives in core cycle a is visible from the first clock on that begins at or after a's start,
 * and data whose last bit is there at clock m reach the bus in the first core cycle that starts at or after m.
 *
 * In a clock each channel issues at most one command. Bursts enter the queues access by access, in order of arrival; a
 * full queue stops those behind. Of all commands whose timing is met first, a column command comes first, then the
 * oldest. In core cycles, reads give one beat a cycle in order of arrival, writes take one a cycle.
 */
#ifndef TLM_DRAM_H
#define TLM_DRAM_H

#include <stdint.h>

/* cdef begin */
typedef struct tlm_dram_config {
    int64_t cycle_numerator, cycle_denominator; /* core cycles of a DRAM clock */
    int64_t rows;
    int32_t channels, ranks, banks, bank_groups; /* ranks of a channel, banks of a rank; powers of two */
    int32_t row_accesses, access_bytes, bus_bytes; /* an access is a DRAM burst */
    int32_t order[3];                    /* fields of an access's number, lowest first: 0 row, 1 bank, 2 column */
    int32_t queue_accesses, max_bypasses; /* of a channel's queue; how often its oldest may be overtaken */
    int32_t in_order, closed_page;
    int32_t burst, trcd, trp, tras, cl, cwl, tccd, tccd_l, trrd, trrd_l, tfaw, twr, twtr, twtr_l, trtp, trtw, trtrs;
    int32_t trfc, trefi;                 /* all in DRAM clocks; _l: within a bank group */
} tlm_dram_config;

typedef struct tlm_dram_command {
    int64_t clock, cycle, row;           /* row: of ACT, RD, WR and PRE */
    int32_t kind, channel, rank, bank;   /* kind: 0 ACT, 1 PRE, 2 RD, 3 WR, 4 REF; bank: -1 of REF */
    int32_t column;                      /* of RD and WR, in accesses; else -1 */
    int32_t entry;                       /* of the queue, for which it is; -1: none */
    int32_t is_write, burst;             /* the direction, and which of its bursts, from 0, asked for it; -1: none */
} tlm_dram_command;

typedef struct tlm_dram_entry {          /* an access in a queue */
    int64_t access, row, visible_clock, burst;
    int32_t rank, bank, group, column, is_write, position; /* bank: of the channel; position: within its burst */
    int32_t activated, precharged, bypassed;
} tlm_dram_entry;

typedef struct tlm_dram_bank {
    int64_t row;                         /* -1: closed */
    int64_t next_activate, next_precharge, next_column; /* the first clocks that timing allows */
} tlm_dram_bank;

typedef struct tlm_dram_rank {
    int64_t next_activate[4], next_read[4], next_write[4]; /* by bank group */
    int64_t activates[4];                /* clocks of the last four, a ring */
    int64_t refresh_due, refresh_end, active_since;
    int32_t last_activate, open_banks;
} tlm_dram_rank;

typedef struct tlm_dram_channel {
    tlm_dram_bank banks[32];
    tlm_dram_rank ranks[4];
    tlm_dram_entry queue[32];            /* oldest first */
    tlm_dram_command next;               /* what is issued next if nothing else arrives */
    int64_t clock;                       /* commands of earlier clocks have been issued */
    int32_t queued;
} tlm_dram_channel;

typedef struct tlm_dram_burst {
    int64_t address, visible_clock, number; /* number: in order of arrival */
    int64_t done_cycle[16];              /* of each access, when its data are there; INT64_MAX: not yet known */
    int32_t refresh_cycles[16], row_cycles[16]; /* of each access: so much earlier without refresh, and with its row open */
    int32_t beats, accesses, entered, served;
} tlm_dram_burst;

typedef struct tlm_dram_loss {           /* cycles in which no beat moved */
    int64_t first_cycle, end_cycle;
    int32_t is_row;                      /* for want of the row; 0: because of a refresh */
} tlm_dram_loss;

typedef struct tlm_dram_bursts {         /* of a direction, a ring in order of arrival */
    tlm_dram_burst ring[64];
    int64_t finished;                    /* bursts before these */
    int64_t next_serve_cycle;
    int32_t count, entered;              /* entered: with all accesses in the queues */
    int64_t hits, misses, conflicts;     /* of accesses: row open, bank closed, another row open */
    tlm_dram_loss *losses;               /* in order, not all that touch are joined; null: not kept */
    int64_t loss_count;
} tlm_dram_bursts;

typedef struct tlm_dram_counts {         /* commands; and clocks summed over ranks */
    int64_t commands[5];
    int64_t active_clocks, refresh_clocks; /* with a row open; within tRFC */
} tlm_dram_counts;

typedef struct tlm_dram {
    tlm_dram_config config;
    tlm_dram_channel channels[4];
    tlm_dram_bursts bursts[2];           /* reads, writes */
    int64_t arrived, taken_cycle;        /* bursts so far; when the next beat of a write can be taken */
    tlm_dram_counts counts;
} tlm_dram;

/* All banks closed in clock 0, the first refreshes due after tREFI. The caller gives room for losses, at most two for
 * each access; a copy of the state shares it, and writes what will be written again when it happens. */
void tlm_dram_reset(tlm_dram *d, const tlm_dram_config *config);

/* A burst of whole beats arrives in a cycle that has not been played; at most 64 of a direction are under way. Returns the cycle in
 * which a write's first beat is taken; its command may be issued when all are. */
int64_t tlm_dram_request(tlm_dram *d, int64_t cycle, int64_t address, int32_t beats, int32_t is_write);

/* The next cycle in which a command is issued, a beat is read or a write is answered; there is always one. */
int64_t tlm_dram_next_cycle(const tlm_dram *d);

/* Issue the next command into *out if its cycle is not behind this one; 0: it is. */
int32_t tlm_dram_step(tlm_dram *d, int64_t cycle, tlm_dram_command *out);

/* Issue all commands up to this cycle. */
void tlm_dram_play(tlm_dram *d, int64_t cycle);

/* What ends in this cycle: 0, or the beats of the oldest burst of a direction: of reads one, of writes all. */
int32_t tlm_dram_serve(tlm_dram *d, int64_t cycle, int32_t is_write);

/* Counts of all clocks that begin before this cycle, of which all commands have been issued, and none of later ones. */
void tlm_dram_counts_at(const tlm_dram *d, int64_t cycle, tlm_dram_counts *out);

/* The DRAM clocks that begin before a core cycle starts. */
int64_t tlm_dram_clocks(const tlm_dram *d, int64_t cycle);
/* cdef end */

enum { TLM_ACT, TLM_PRE, TLM_RD, TLM_WR, TLM_REF };

#endif
