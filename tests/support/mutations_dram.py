"""Mutations of the DRAM (kernels/dram.c), which serves all fidelities; see mutations.py.

Without two of its conditions nothing changes but the time it takes: that closing a row looks at refreshes, and that a
refresh is not looked at before it is due.
"""

from __future__ import annotations

from mutation_rules import Mutation


def _dram(rule: str, old: str, new: str) -> Mutation:
    return Mutation(rule, "dram", "kernels/dram.c", old, new)


_DURATIONS = (
    _dram("a duration of a bank", "c->clock + t->trcd", "c->clock + t->trcd - 1"),
    _dram("a duration of a bank", "c->clock + t->tras", "c->clock + t->tras - 1"),
    _dram("a duration of a bank", "c->clock + d->config.trp", "c->clock + d->config.trp - 1"),
    _dram("a duration of a bank", "c->clock + t->trtp", "c->clock + t->trtp - 1"),
    _dram("a duration of a bank", "end + t->twr", "end + t->twr - 1"),
    _dram("a duration of a bank", "not_before(&clock, bank->next_column);", ""),
    _dram("a duration of a bank", "not_before(&clock, bank->next_activate);", ""),
    _dram("a duration of a bank", "not_before(&clock, bank->next_precharge);", ""),
    _dram("a duration of a rank", "t->trrd_l : t->trrd)", "t->trrd_l - 1 : t->trrd)"),
    _dram("a duration of a rank", "t->trrd_l : t->trrd)", "t->trrd_l : t->trrd - 1)"),
    _dram("a duration of a rank", "+ d->config.tfaw);", "+ d->config.tfaw - 1);"),
    _dram("a duration of a rank", "rank->last_activate + 1) % 4] +", "rank->last_activate + 2) % 4] +"),
    _dram("a duration of a rank", "t->tccd_l : t->tccd;", "t->tccd_l - 1 : t->tccd;"),
    _dram("a duration of a rank", "t->tccd_l : t->tccd;", "t->tccd_l : t->tccd - 1;"),
    _dram("a duration of a rank", "t->twtr_l : t->twtr)", "t->twtr_l - 1 : t->twtr)"),
    _dram("a duration of a rank", "t->twtr_l : t->twtr)", "t->twtr_l : t->twtr - 1)"),
    _dram("a duration of a rank", "group = bank % c->bank_groups", "group = bank / c->bank_groups % c->bank_groups"),
    _dram("a duration of a rank", "g == at % t->bank_groups", "g == at / t->bank_groups % t->bank_groups"),
    _dram("a duration of the channel", "same_way : t->trtw", "same_way : t->trtw - 1"),
    _dram("a duration of the channel", "same_way : t->trtw", "same_way : same ? t->trtw : 0"),
    _dram("a duration of the channel", "t->burst + t->trtrs :", "t->burst + t->trtrs - 1 :"),
    _dram("a duration of the channel", "t->burst + t->trtrs - t->cl", "t->burst + t->trtrs - t->cl - 1"),
    _dram("data leave the DRAM CL (or CWL) and the burst after the command", "+ t->burst;\n", "+ t->burst - 1;\n"),
    _dram(
        "data leave the DRAM CL (or CWL) and the burst after the command",
        "(c->is_write ? t->cwl : t->cl) + t->burst",
        "t->cl + t->burst",
    ),
)

_REFRESH = (
    _dram(
        "every tREFI a rank is refreshed",
        "rank->refresh_due += d->config.trefi",
        "rank->refresh_due += 1 + d->config.trefi",
    ),
    _dram(
        "every tREFI a rank is refreshed", "refresh_due += d->config.trefi", "refresh_due = c->clock + d->config.trefi"
    ),
    _dram("every tREFI a rank is refreshed", "refresh_due = config->trefi;", "refresh_due = config->trefi + 1;"),
    _dram("a rank that is due gets nothing else", "if (clock < rank->refresh_due) consider", "consider"),
    _dram(
        "a rank that is due gets nothing else",
        "clock < rank->refresh_due) consider",
        "clock <= rank->refresh_due) consider",
    ),
    _dram("REF comes tRP after the last PRE", "not_before(&refresh, bank->next_activate);", ""),
    _dram("REF comes tRP after the last PRE", "if (!ch->ranks[rank].open_banks) consider", "consider"),
    _dram("REF comes tRP after the last PRE", "later(due, bank->next_precharge)", "due"),
    _dram(
        "tRFC after REF the rank can be used",
        ".next_activate = c->clock + d->config.trfc;",
        ".next_activate = c->clock + d->config.trfc - 1;",
    ),
    _dram(
        "tRFC after REF the rank can be used",
        "i < d->config.banks; i++)\n        ch->banks",
        "i < 1; i++)\n        ch->banks",
    ),
)

_CHOICE = (
    _dram("RD and WR go before ACT and PRE", "class = COLUMN_FIRST;", ""),
    _dram("then the oldest access", "class < best->class", "class <= best->class"),
    _dram("an access never overtakes an older one to the same place", "if (has_older_twin(ch, index)) return;", ""),
    _dram(
        "an access never overtakes an older one to the same place",
        "(ch->queue[i].is_write || e->is_write)",
        "ch->queue[i].is_write",
    ),
    _dram(
        "an access never overtakes an older one to the same place",
        "(ch->queue[i].is_write || e->is_write)",
        "e->is_write",
    ),
    _dram(
        "a row is not closed while an access asks for it", "if (!only && row_is_asked(ch, e->bank, clock)) return;", ""
    ),
    _dram("a row is not closed while an access asks for it", "if (!only && row_is_asked", "if (row_is_asked"),
    _dram("a row is not closed while an access asks for it", "&& e->visible_clock <= clock) return 1;", ") return 1;"),
    _dram("max_bypasses", ".bypassed >= d->config.max_bypasses", ".bypassed > d->config.max_bypasses"),
    _dram("max_bypasses", "if (c->entry && ch->queue[0].visible_clock <= c->clock)", "if (c->entry)"),
    _dram("in order: only the oldest", "(d->config.in_order ||", "("),
    _dram("a command in a clock", "ch->clock = out->clock + 1;", "ch->clock = out->clock;"),
    _dram(
        "closed page: a row that nobody asks for is closed",
        "if (d->config.closed_page) consider_closing(d, ch, &best);",
        "",
    ),
    _dram(
        "closed page: a row that nobody asks for is closed", "|| row_is_asked(ch, i, clock)) continue;", ") continue;"
    ),
    _dram(
        "closed page: a row that nobody asks for is closed",
        "clock, UNASKED_LAST, TLM_PRE",
        "clock, COLUMN_FIRST, TLM_PRE",
    ),
    _dram(
        "closed page: a row that nobody asks for is closed",
        "later(ch->clock, ch->banks[i].next_precharge)",
        "ch->clock",
    ),
)

_QUEUE = (
    _dram("address order", "field[c->order[i]] = rest % sizes[c->order[i]];", "field[2 - i] = rest % sizes[2 - i];"),
    _dram("address order", "(int64_t)c->banks * c->ranks, c->row_accesses", "(int64_t)c->banks, c->row_accesses"),
    _dram("address order", "b->address / c->access_bytes + b->entered", "b->address / c->access_bytes"),
    _dram("address order", "*channel = (int32_t)(access % c->channels)", "*channel = (int32_t)(rest % c->channels)"),
    _dram("a full queue stops all behind it", "ch->queued == d->config.queue_accesses", "ch->queued == 32"),
    _dram("accesses enter in order of arrival", "->number < burst_at(read", "->number > burst_at(read"),
    _dram("a freed place counts from the next clock", "admit(d, out->clock + 1)", "admit(d, out->clock)"),
    _dram(
        "a read is visible with its first beat, a write with its last",
        "= visible_cycle = cycle + beats",
        "= cycle + beats",
    ),
    _dram("write beats are taken one a cycle", "cycle = later(cycle, d->taken_cycle);", ""),
    _dram("a burst is cut into accesses", "(end - 1) / d->config.access_bytes", "end / d->config.access_bytes"),
    _dram("a burst is cut into accesses", "int64_t end = address % d->config.access_bytes +", "int64_t end ="),
)

_CLOCKS = (
    _dram(
        "a burst is visible from the DRAM clock on that its cycle is rounded up to",
        "return scaled_up(cycle, d->config.cycle_denominator, d->config.cycle_numerator)",
        "return scaled_down(cycle, d->config.cycle_denominator, d->config.cycle_numerator)",
    ),
    _dram(
        "a command is issued in the cycle that its clock begins in",
        "return scaled_down(clock, d->config.cycle_numerator, d->config.cycle_denominator)",
        "return scaled_up(clock, d->config.cycle_numerator, d->config.cycle_denominator)",
    ),
    _dram(
        "data reach the bus in the cycle that their clock is rounded up to",
        "return scaled_up(clock, d->config.cycle_numerator, d->config.cycle_denominator)",
        "return scaled_down(clock, d->config.cycle_numerator, d->config.cycle_denominator)",
    ),
)

_BUS = (
    _dram(
        "read beats, and write answers, follow in order, one a cycle",
        "next_serve_cycle = cycle + 1",
        "next_serve_cycle = cycle",
    ),
    _dram(
        "read beats, and write answers, follow in order, one a cycle", "(is_write ? b->beats : 1) - 1)", "b->beats - 1)"
    ),
    _dram("a write is answered when all its data have crossed", "(is_write ? b->beats : 1) - 1)", "1 - 1)"),
)

_COUNTS = (
    _dram(
        "hits, misses and conflicts", "if (e->precharged) bursts->conflicts++;", "if (e->precharged) bursts->misses++;"
    ),
    _dram(
        "hits, misses and conflicts",
        "else if (e->activated) bursts->misses++;",
        "else if (e->activated) bursts->hits++;",
    ),
    _dram(
        "clocks with a row open, and in refresh",
        "if (!rank->open_banks++) rank->active_since",
        "rank->open_banks++; rank->active_since",
    ),
    _dram(
        "clocks with a row open, and in refresh",
        "refresh_clocks += d->config.trfc",
        "refresh_clocks += d->config.trfc - 1",
    ),
    _dram(
        "clocks with a row open, and in refresh", "refresh_end = c->clock + d->config.trfc", "refresh_end = c->clock"
    ),
)

MUTATIONS = (*_DURATIONS, *_REFRESH, *_CHOICE, *_QUEUE, *_CLOCKS, *_BUS, *_COUNTS)
