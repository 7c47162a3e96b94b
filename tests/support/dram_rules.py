"""The rules of DRAM, checked on a list of commands; written from the parameters alone, apart from kernels/dram.c."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from tlm.chip.config import ChipConfig
from tlm.chip.kernels.dram import DURATIONS, DramCommand, IssuedCommand

ACT, PRE, RD, WR, REF = DramCommand
COLUMN = (RD, WR)


@dataclass(frozen=True)
class Request:
    """A burst of whole beats that arrives in a cycle."""

    cycle: int
    address: int
    beats: int
    is_write: bool


@dataclass(frozen=True)
class Played:
    """What a model made of requests: commands in order, and by direction the cycles in which beats ended, in order.

    Of a write only the answer counts: one cycle a burst.
    """

    commands: Sequence[IssuedCommand]
    ended: Mapping[bool, Sequence[int]]


def address_of(config: ChipConfig, one: IssuedCommand) -> int:
    """The first byte that a column command moves."""
    dram = config.dram
    assert one.bank is not None
    assert one.row is not None
    assert one.column is not None
    values = {"row": one.row, "bank": one.rank * dram.banks + one.bank, "column": one.column // dram.burst_length}
    sizes = {"row": dram.rows, "bank": dram.ranks * dram.banks, "column": dram.columns // dram.burst_length}
    number = 0
    for field in dram.address_order.split("_"):
        number = number * sizes[field] + values[field]
    return (number * dram.channels + one.channel) * dram.width_bits * dram.burst_length // 8


def least_clocks(config: ChipConfig, a: IssuedCommand, b: IssuedCommand) -> int:
    """How many clocks ``b`` has to stay behind an earlier ``a`` of the same channel."""
    d = config.dram
    burst = d.burst_length // 2
    same_rank, same_bank = a.rank == b.rank, a.rank == b.rank and a.bank == b.bank
    group_a, group_b = (one.bank % d.bank_groups if one.bank is not None else None for one in (a, b))
    same_group = same_rank and group_a == group_b
    least = [1]
    if REF in (a.kind, b.kind):
        if same_rank:
            least += [d.trfc_clocks] if a.kind is REF else []
            least += [d.trp_clocks] if a.kind is PRE and b.kind is REF else []
            least += [d.tras_clocks + d.trp_clocks] if a.kind is ACT else []
        return max(least)
    match a.kind, b.kind:
        case (DramCommand.ACT, DramCommand.ACT):
            if same_bank:
                least.append(d.tras_clocks + d.trp_clocks)
            if same_rank:
                least.append(d.trrd_l_clocks if same_group else d.trrd_clocks)
        case (DramCommand.ACT, DramCommand.RD | DramCommand.WR) if same_bank:
            least.append(d.trcd_clocks)
        case (DramCommand.ACT, DramCommand.PRE) if same_bank:
            least.append(d.tras_clocks)
        case (DramCommand.PRE, DramCommand.ACT) if same_bank:
            least.append(d.trp_clocks)
        case (DramCommand.RD, DramCommand.PRE) if same_bank:
            least.append(d.trtp_clocks)
        case (DramCommand.WR, DramCommand.PRE) if same_bank:
            least.append(d.cwl_clocks + burst + d.twr_clocks)
        case (DramCommand.RD, DramCommand.RD) | (DramCommand.WR, DramCommand.WR):
            same = d.tccd_l_clocks if same_group else d.tccd_clocks
            least.append(same if same_rank else burst + d.trtrs_clocks)
        case (DramCommand.RD, DramCommand.WR):
            least.append(d.trtw_clocks)
        case (DramCommand.WR, DramCommand.RD):
            wait = d.twtr_l_clocks if same_group else d.twtr_clocks
            least.append(d.cwl_clocks + burst + (wait if same_rank else d.trtrs_clocks - d.cl_clocks))
    return max(least)


def check_distances(config: ChipConfig, commands: Sequence[IssuedCommand]) -> None:
    """Every pair of commands of a channel against every parameter; further apart than the longest are fine."""
    d = config.dram
    longest = max(d.trfc_clocks, 1024)  # 4 * 255 and a burst at most, of other durations
    for channel in range(d.channels):
        own = [one for one in commands if one.channel == channel]
        for index, b in enumerate(own):
            for a in reversed(own[:index]):
                if b.clock - a.clock > longest:
                    break
                assert b.clock - a.clock >= least_clocks(config, a, b), (a, b)
        for rank in range(d.ranks):
            acts = [one.clock for one in own if one.kind is ACT and one.rank == rank]
            for first, fifth in zip(acts, acts[4:], strict=False):
                assert fifth - first >= d.tfaw_clocks, (first, fifth)


def check_states(config: ChipConfig, commands: Sequence[IssuedCommand], data: Fraction) -> None:
    """Rows are open when they are used, and closed for ACT and REF; refreshes are neither early nor much too late."""
    d = config.dram
    rows: dict[tuple[int, int, int | None], int | None] = {}
    refreshes: dict[tuple[int, int], int] = defaultdict(int)
    slack = d.tras_clocks + d.trtp_clocks + d.cwl_clocks + d.burst_length + d.twr_clocks + d.trp_clocks
    slack += d.banks * d.ranks + 4
    for one in commands:
        place = (one.channel, one.rank, one.bank)
        if one.kind is REF:
            banks = [key for key in rows if key[:2] == place[:2] and rows[key] is not None]
            assert not banks, one
            refreshes[place[:2]] += 1
            due = refreshes[place[:2]] * d.trefi_clocks
            assert due <= one.clock <= due + slack, one
        elif one.kind is ACT:
            assert rows.get(place) is None, one
            rows[place] = one.row
        else:
            assert rows.get(place) == one.row, one
            if one.kind is PRE:
                rows[place] = None
        due = (refreshes[place[:2]] + 1) * d.trefi_clocks
        assert one.kind in (PRE, REF) or one.clock < due, f"{one} while a refresh is due"
        assert one.cycle == math.floor(one.clock * data)


def check_accesses(config: ChipConfig, requests: Sequence[Request], played: Played) -> None:
    """Each access of each burst is made once; conflicting ones in order; the oldest is not overtaken too often.

    Ends follow from the commands, by docs/memory.md's rules for beats.
    """
    d, bus = config.dram, config.bus_bytes
    access, ratio = d.width_bits * d.burst_length // 8, Fraction(d.tck_ps * config.clock_khz, 10**9)
    numbers = {way: [i for i, one in enumerate(requests) if one.is_write is way] for way in (False, True)}
    left: dict[int, list[tuple[int, int, int]]] = defaultdict(list)  # channel -> (access, request, place in it)
    for index, one in enumerate(requests):
        first, last = one.address // access, (one.address + one.beats * bus - 1) // access
        for number in range(first, last + 1):
            left[number % d.channels].append((number, index, number - first))
    overtaken: dict[tuple[int, int, int], int] = defaultdict(int)
    ready: dict[tuple[int, int], int] = {}
    for one in commands_of(played, *COLUMN):
        assert one.burst is not None
        assert one.is_write is (one.kind is WR)
        number, index = address_of(config, one) // access, numbers[one.is_write][one.burst]
        queue = left[one.channel]
        (entry,) = [item for item in queue if item[0] == number and item[1] == index]
        older = queue[: queue.index(entry)]
        assert not any(item[0] == number and (one.is_write or requests[item[1]].is_write) for item in older), one
        if older:
            overtaken[older[0]] += 1
            visible = requests[older[0][1]]
            assert d.scheduler == "fr_fcfs", one
            assert overtaken[older[0]] <= d.max_bypasses + visible.is_write * config.burst_bytes, one
        queue.remove(entry)
        end = one.clock + (d.cwl_clocks if one.is_write else d.cl_clocks) + d.burst_length // 2
        ready[index, entry[2]] = math.ceil(end * ratio)
    assert not any(left.values()), "accesses that were never made"
    assert played.ended[False] == _read_ends(requests, numbers[False], ready, access, bus)
    answers = list[int]()
    for index in numbers[True]:
        done = max(cycle for (own, _), cycle in ready.items() if own == index)
        answers.append(max([done] + [one + 1 for one in answers[-1:]]))
    assert played.ended[True] == answers


def check_times(config: ChipConfig, requests: Sequence[Request], played: Played) -> None:
    """Nothing is issued for a burst before it is visible, and nothing starves.

    Once a burst is the oldest, it waits for max_bypasses others for each of its accesses. Each takes at most what all
    durations add up to, and again if a refresh comes between.
    """
    d = config.dram
    ratio = Fraction(d.tck_ps * config.clock_khz, 10**9)
    durations = sum(getattr(d, f"{name}_clocks") for name in DURATIONS if name != "trefi")
    longest = (d.max_bypasses + 1) * 2 * (durations + d.burst_length + d.banks * d.ranks)
    accesses: dict[tuple[bool, int], list[int]] = defaultdict(list)
    first: dict[tuple[bool, int], int] = {}
    for command in played.commands:
        if command.burst is not None:
            first.setdefault((command.is_write, command.burst), command.clock)
            if command.kind in COLUMN:
                accesses[command.is_write, command.burst].append(command.clock)
    numbers, taken, done = {False: 0, True: 0}, 0, 0
    for one in requests:
        visible = one.cycle
        if one.is_write:
            taken = visible = max(one.cycle, taken) + one.beats
        place = one.is_write, numbers[one.is_write]
        numbers[one.is_write] += 1
        own, visible_clock = accesses[place], math.ceil(visible / ratio)
        assert first[place] >= visible_clock, f"{one} is looked at in clock {first[place]}, before {visible_clock}"
        limit = max(done, visible_clock) + len(own) * longest
        assert max(own) <= limit, f"{one} is served in clock {max(own)}, later than {limit}"
        done = max(done, *own)


def _read_ends(
    requests: Sequence[Request], reads: Sequence[int], ready: Mapping[tuple[int, int], int], access: int, bus: int
) -> list[int]:
    ends = list[int]()
    for index in reads:
        for beat in range(requests[index].beats):
            first = requests[index].address % access + beat * bus
            parts = range(first // access, (first + bus - 1) // access + 1)
            ends.append(max([ready[index, part] for part in parts] + [one + 1 for one in ends[-1:]]))
    return ends


def commands_of(played: Played, *kinds: DramCommand) -> list[IssuedCommand]:
    return [one for one in played.commands if one.kind in kinds]


def check(config: ChipConfig, requests: Sequence[Request], played: Played) -> None:
    """Everything."""
    assert all(a.clock <= b.clock for a, b in pairwise(played.commands))
    check_distances(config, played.commands)
    check_states(config, played.commands, Fraction(config.dram.tck_ps * config.clock_khz, 10**9))
    check_accesses(config, requests, played)
    check_times(config, requests, played)
