#include "driver.h"

enum { NOBODY = -1, BEYOND_LIMIT = -2 };

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- what can start ---- */

static int must_wait(const tlm_driver *s, const tlm_driver_task *task, int32_t unit)
{
    return s->ended[unit] <= task->after[unit];
}

static int can_start(const tlm_driver *s, const tlm_driver_task *task)
{
    return !must_wait(s, task, TLM_ENGINE) && !must_wait(s, task, TLM_LOAD) && !must_wait(s, task, TLM_STORE);
}

/* The first load behind `before` of those that are next for their SRAMs; NOBODY if there is none. */
static int32_t next_head(const tlm_driver *s, int32_t before)
{
    int32_t first = NOBODY;
    for (int32_t sram = 0; sram < 3; sram++) {
        int32_t head = s->waiting[sram];
        if (head > before && (first < 0 || head < first)) first = head;
    }
    return first;
}

/* When the first of the units ends that a task waits for, as far as that is known; else 0. */
static int64_t wait_end(const tlm_driver *s, const tlm_driver_task *task)
{
    int64_t until = INT64_MAX;
    for (int32_t unit = 0; unit < TLM_UNITS; unit++)
        if (must_wait(s, task, unit) && s->busy[unit] && s->end_cycles[unit] >= 0)
            until = earlier(until, s->end_cycles[unit]);
    return until < INT64_MAX ? until : 0;
}

/* The load that comes next, or one into another SRAM that should end before what the first one waits for. */
static int32_t next_load(const tlm_driver *s)
{
    const tlm_driver_task *loads = s->tasks[TLM_LOAD];
    int32_t first = next_head(s, NOBODY);
    if (first < 0 || can_start(s, loads + first)) return first;
    int64_t most_cycles = wait_end(s, loads + first) - s->now - s->start_cycles[TLM_LOAD];
    for (int32_t load = next_head(s, first); load >= 0; load = next_head(s, load))
        if (loads[load].cycles <= most_cycles && can_start(s, loads + load)) return load;
    return NOBODY;
}

static int32_t next_task(const tlm_driver *s, int32_t unit)
{
    if (unit == TLM_LOAD) return next_load(s);
    int32_t task = s->ended[unit];
    return task < s->counts[unit] && can_start(s, s->tasks[unit] + task) ? task : NOBODY;
}

/* ---- time ---- */

static void advance(tlm_driver *s, tlm_dma *d, int64_t until_cycle)
{
    s->is_late = until_cycle > s->cycle_limit;
    if (s->is_late) return;
    int32_t completed = tlm_dma_advance(d, until_cycle);
    for (int32_t channel = 0; channel < 2; channel++)
        if (completed >> channel & 1) s->end_cycles[TLM_LOAD + channel] = d->channels[channel].done_cycle + 1;
}

static void start(tlm_driver *s, tlm_dma *d, int32_t unit, int32_t number)
{
    tlm_driver_task *task = s->tasks[unit] + number;
    s->now += s->start_cycles[unit];
    advance(s, d, s->now);
    s->busy[unit] = 1;
    s->end_cycles[unit] = unit == TLM_ENGINE ? s->now + task->cycles : -1;
    s->steps[s->step_count++] = (uint8_t)unit;
    if (unit == TLM_ENGINE) return;
    task->transfer.first_cycle = s->now;
    tlm_dma_start(d, unit - TLM_LOAD, &task->transfer);
    if (unit == TLM_STORE) return;
    s->waiting[task->transfer.sram] = task->next;
    s->load_order[s->started_loads++] = number;
}

/* The busy unit whose end is known and comes first, the first of equal ones. */
static int32_t first_to_end(const tlm_driver *s)
{
    int32_t first = NOBODY;
    for (int32_t unit = 0; unit < TLM_UNITS; unit++) {
        if (!s->busy[unit] || s->end_cycles[unit] < 0) continue;
        if (first < 0 || s->end_cycles[unit] < s->end_cycles[first]) first = unit;
    }
    return first;
}

/* Sleep until the next interrupt; whose it is. Time never advances beyond it: what starts then must still find its cycle
 * to come. */
static int32_t sleep_until_end(tlm_driver *s, tlm_dma *d)
{
    int32_t unit = first_to_end(s);
    while (!s->is_late && (unit < 0 || s->end_cycles[unit] > d->now)) {
        int64_t completion = tlm_dma_earliest_completion(d), end = unit < 0 ? INT64_MAX : s->end_cycles[unit];
        advance(s, d, completion < 0 ? end : earlier(completion + 1, end));
        unit = first_to_end(s);
    }
    return unit;
}

static void wake(tlm_driver *s, tlm_dma *d, int32_t unit)
{
    s->last = later(s->last, s->end_cycles[unit]);
    s->now = later(s->now, s->end_cycles[unit] + s->interrupt_cycles) + s->wake_cycles;
    advance(s, d, s->now);
    s->busy[unit] = 0;
    s->steps[s->step_count++] = (uint8_t)(TLM_UNITS + unit);
    if (unit != TLM_LOAD) {
        s->ended[unit]++;
        return;
    }
    s->loaded[s->load_order[s->started_loads - 1]] = 1;
    while (s->ended[unit] < s->counts[unit] && s->loaded[s->ended[unit]]) s->ended[unit]++;
}

int32_t tlm_drive(tlm_driver *s, tlm_dma *d)
{
    for (;;) {
        for (int32_t unit = 0; unit < TLM_UNITS; unit++) { /* a start makes possible only what units behind it do */
            int32_t task = s->busy[unit] ? NOBODY : next_task(s, unit);
            if (task < 0) continue;
            start(s, d, unit, task);
            if (s->is_late) return BEYOND_LIMIT;
            if (unit == TLM_ENGINE) return task;
        }
        if (!s->busy[TLM_ENGINE] && !s->busy[TLM_LOAD] && !s->busy[TLM_STORE]) return NOBODY;
        int32_t unit = sleep_until_end(s, d);
        if (!s->is_late) wake(s, d, unit);
        if (s->is_late) return BEYOND_LIMIT;
    }
}
