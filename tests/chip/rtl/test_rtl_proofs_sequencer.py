"""Proofs of the sequencer: it never waits for nothing, and never starts a pass too early."""

from __future__ import annotations

from typing import Any

import pytest
import z3
from amaranth.hdl import Fragment
from formal import Unrolled, any_of, broken

from tlm.chip.config import ChipConfig
from tlm.chip.format.isa import FIELDS, Opcode
from tlm.chip.rtl.header import Header
from tlm.chip.rtl.sequencer import Sequencer

GAP = 3
CONFIG = ChipConfig(lanes=8, columns=8, amem_words=64, wmem_words=64, imem_words=64, pass_gap_cycles=GAP)
NAMES = (
    *("start", "active", "finish", "handover", "pass_started", "step", "step_done", "ends", "last_round", "done"),
    *("busy", "fetch__valid", "layer_ended", "layer_started", "header__layer", "header__illegal", "header__pooling"),
    *("header__taps", "header__word_taps", "header__channels_per_pattern", "header__tiles"),
)


def unrolled(cycles: int, circuit: Any = Sequencer, *, reset: bool = False) -> Unrolled:
    header = Header(CONFIG)
    Fragment.get(header, None)  # only its ports are read; Amaranth warns of what is never elaborated
    return Unrolled(circuit(CONFIG, header), cycles, NAMES, header=header, reset=reset)


def gap_is_kept(at: Unrolled) -> Any:
    """After a handover no pass starts within the gap, and nothing is handed over either."""
    within = range(1, GAP + 1)
    early = [at(name, cycle) for name in ("pass_started", "step", "handover") for cycle in within]
    return z3.Implies(at("handover"), z3.Not(any_of(early)))


def goes_on(at: Unrolled, cycles: int) -> Any:
    """Within so many cycles something is fetched, handed over or finished: the program has come further."""
    events = ("fetch__valid", "step_done", "ends", "handover", "finish")
    return any_of([at(event, cycle) for event in events for cycle in range(cycles)])


def willing(at: Unrolled, cycles: int) -> list[Any]:
    """All that the sequencer may wait for is there: a step's last round, the array's sums, an idle requantiser."""
    facts = [at("active", cycle) for cycle in range(cycles)]
    for cycle in range(cycles):
        facts += [at("last_round", cycle), at("done", cycle), z3.Not(at("busy", cycle)), z3.Not(at("start", cycle))]
    return facts


END_CYCLE = 21
"""Two passes of one tile each: what they take if everything that they wait for takes two cycles."""


def small_layer(at: Unrolled) -> list[Any]:
    """From reset a layer of two tiles, one channel and one tap; what it reads from IMem is anything."""
    one_channel = sum(1 << low for low in offsets("channels", "out_channels"))
    facts = [at("start", cycle) == (cycle == 0) for cycle in range(END_CYCLE)]
    numbers = {"layer": one_channel, "taps": 1, "word_taps": 1, "channels_per_pattern": 60, "tiles": 2}
    for name, value in numbers.items():
        facts += [at(f"header__{name}", cycle) == value for cycle in range(END_CYCLE)]
    for name in ("illegal", "pooling"):
        facts += [z3.Not(at(f"header__{name}", cycle)) for cycle in range(END_CYCLE)]
    for cycle in range(END_CYCLE - 1):
        facts.append(z3.Or(at("last_round", cycle), at("last_round", cycle + 1)))
        ready = [z3.And(at("done", now), z3.Not(at("busy", now))) for now in (cycle, cycle + 1)]
        facts.append(z3.Or(ready))
    return facts


def ends(at: Unrolled) -> Any:
    """The layer has ended, or the program has, for an error."""
    return any_of([at(event, cycle) for event in ("layer_ended", "finish") for cycle in range(END_CYCLE)])


def offsets(*names: str) -> list[int]:
    """Where fields of a LAYER word begin."""
    keys = [name for name, _ in FIELDS[Opcode.LAYER]]
    return [sum(bits for _, bits in FIELDS[Opcode.LAYER][: keys.index(name)]) for name in names]


def test_a_small_layer_ends() -> None:
    at = unrolled(END_CYCLE, reset=True)
    facts = small_layer(at)
    assert at.proves(ends(at), *facts)
    assert at.allows(*facts, at("layer_ended", END_CYCLE - 1))


def test_no_pass_starts_within_the_gap() -> None:
    at = unrolled(GAP + 2)
    quiet = [z3.Not(at("start", cycle)) for cycle in range(GAP + 2)]
    assert at.proves(gap_is_kept(at), *quiet)
    assert at.allows(*quiet, at("handover"), at("pass_started", GAP + 1))


def test_it_never_waits_for_nothing() -> None:
    at = unrolled(GAP + 3)
    facts = willing(at, GAP + 3)
    assert at.proves(goes_on(at, GAP + 3), *facts)
    assert at.allows(*facts, at("handover"), at("pass_started", GAP + 1))


@pytest.mark.parametrize("module", broken("a pass follows the handover after pass_gap_cycles"))
def test_a_broken_gap_is_found(module: Any) -> None:
    at = unrolled(GAP + 2, module.Sequencer)
    assert not at.proves(gap_is_kept(at), *(z3.Not(at("start", cycle)) for cycle in range(GAP + 2)))


@pytest.mark.parametrize("module", broken("the sequencer goes on when all is there"))
def test_a_deadlock_is_found(module: Any) -> None:
    at = unrolled(GAP + 3, module.Sequencer)
    assert not at.proves(goes_on(at, GAP + 3), *willing(at, GAP + 3))
