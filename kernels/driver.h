/* The order in which a driver starts the engine and the DMA's two channels: it starts whatever can start and otherwise
 * sleeps until the interrupt that comes next (docs/timing.md). Transfers happen in dma.h's time, beside the banks that
 * the engine takes.
 */
#ifndef TLM_DRIVER_H
#define TLM_DRIVER_H

#include "dma.h"

/* cdef begin */
enum { TLM_ENGINE, TLM_LOAD, TLM_STORE, TLM_UNITS }; /* in the order in which idle ones are started */

typedef struct tlm_driver_task {       /* a job, a load or a store */
    int64_t cycles;                    /* a job: from start to interrupt; a load: roughly; a store: not used */
    int32_t after[3];                  /* of each unit the last task that must have ended before; -1: none */
    int32_t next;                      /* a load: the next one into the same SRAM; -1: none */
    tlm_dma_transfer transfer;         /* of a channel; the driver sets its first cycle */
} tlm_driver_task;

typedef struct tlm_driver {
    int64_t start_cycles[3];           /* the host's accesses to start each unit, */
    int64_t interrupt_cycles;          /* from an interrupt to the driver's next instruction, */
    int64_t wake_cycles;               /* and its accesses then */
    int64_t cycle_limit;
    tlm_driver_task *tasks[3];         /* [unit][count], in the order in which jobs need them */
    int32_t counts[3];
    int32_t waiting[3];                /* [SRAM]: its first load that has not started; -1: none */
    int32_t *load_order;               /* [loads]: as they start */
    uint8_t *loaded;                   /* [loads]: 1: ended */
    uint8_t *steps;                    /* [2 * tasks]: a start's unit, or TLM_UNITS + that of a wait */
    int64_t step_count;
    int64_t now;
    int64_t last;                      /* the last interrupt */
    int32_t started_loads;
    int32_t ended[3];                  /* how many tasks of each unit, from the first on, have been waited for */
    int32_t busy[3];
    int64_t end_cycles[3];             /* of busy units; -1: not known */
    int32_t is_late;                   /* time should have advanced beyond the limit */
} tlm_driver;

/* Go on until a job starts, in cycle now: its number; its banks must be made known before the next call. -1: nothing
 * more can start, and all that did has ended. -2: a cycle beyond the limit. The sizes of tasks are checked, the rest of
 * the state begins with zeros. */
int32_t tlm_drive(tlm_driver *s, tlm_dma *d);
/* cdef end */

#endif
