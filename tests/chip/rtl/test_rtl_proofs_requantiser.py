"""Proofs of the requantiser: its arithmetic for every input, and what a refused access must not change."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pytest
import z3
from amaranth.hdl import Fragment
from formal import Unrolled, bits, broken, is_set, product

from tlm.chip.config import ChipConfig
from tlm.chip.format.isa import FIELDS, Opcode
from tlm.chip.rtl.header import Header
from tlm.chip.rtl.requantiser import SCALED_BITS, Requantiser

PARAMETER = FIELDS[Opcode.PARAMETER]
DEPTH = 2
CONFIG = ChipConfig(lanes=8, columns=8, amem_words=16, requantiser_cycles=DEPTH)
HANDOVER = DEPTH
"""The cycle of the handover; the cycles before empty the stages."""
SUM_BITS = 43
"""More than the formula needs: |product| < 2^24 * 2^16, residual < 2^20, rounding < 2^40."""
NAMES = (
    *("parameter_valid", "parameter_channel", "parameter", "handover", "new_group", "slots", "pixels"),
    *("output_word", "residual_word", "busy", "last_write", "channel", "finished", "excess", "residual_data"),
    *("scaled_0_2", "shift_2", "pixels_kept"),
    *("write_back__valid", "write_back__grant", "write_back__address", "write_back__data"),
    *("residual__valid", "residual__grant", "residual__address"),
    *("header__layer", "header__operands", "header__pooling", "header__output_plane", "header__residual_plane"),
)


def field(opcode: Opcode, word: Any, name: str) -> Any:
    """A field of a word of the program."""
    low = 0
    for key, count in FIELDS[opcode]:
        if key == name:
            return bits(word, low, count)
        low += count
    raise AssertionError(name)


def by_pairs(residual: Any, factor: Any, signed: Any) -> tuple[Any, Any]:
    """What the two low and the two high bits of a residual add to its product with a 16-bit unsigned number."""
    twice = z3.Concat(factor, z3.BitVecVal(0, 1))
    thrice = z3.ZeroExt(2, factor) + z3.ZeroExt(1, twice)
    two = z3.If(signed, z3.SignExt(1, -z3.ZeroExt(1, twice)), z3.ZeroExt(2, twice))
    three = z3.If(signed, z3.SignExt(2, -z3.ZeroExt(1, factor)), z3.ZeroExt(1, thrice))

    def chosen(pair: Any, *multiples: Any) -> Any:
        return reduce(lambda rest, at: z3.If(pair == at, multiples[at - 1], rest), (1, 2, 3), z3.BitVecVal(0, 19))

    low = chosen(bits(residual, 0, 2), z3.ZeroExt(3, factor), z3.ZeroExt(2, twice), z3.ZeroExt(1, thrice))
    high = chosen(bits(residual, 2, 2), z3.ZeroExt(3, factor), two, three)
    return z3.SignExt(SCALED_BITS - 19, low), z3.SignExt(SCALED_BITS - 19, high) << 2


def rounded_first(total: Any, shift: Any, signed: Any) -> Any:
    """The formula's order: rounding, shift, clamp."""
    low, high = z3.If(signed, z3.BitVecVal(-8, SUM_BITS), 0), z3.If(signed, z3.BitVecVal(7, SUM_BITS), 15)
    total, shift = z3.SignExt(SUM_BITS - SCALED_BITS, total), z3.ZeroExt(SUM_BITS - shift.size(), shift)
    total += z3.If(shift == 0, z3.BitVecVal(0, SUM_BITS), z3.BitVecVal(1, SUM_BITS) << (shift - 1))
    total >>= shift
    return bits(z3.If(total < low, low, z3.If(total > high, high, total)), 0, 4)


def rounded_last(total: Any, shift: Any, signed: Any) -> Any:
    """The circuit's order: shift, the long distances first; rounding; what is out of range is found beside them."""
    sign, window = bits(total, SCALED_BITS - 1), z3.Concat(total, z3.BitVecVal(0, 1))
    for level in reversed(range(shift.size())):
        wanted, distance = 4 + (1 << level), 1 << level
        moved = bits(z3.SignExt(distance + wanted, window), distance, wanted)
        window = z3.If(is_set(shift, level), moved, bits(window, 0, wanted))
    half, kept, highest = bits(window, 0), bits(window, 1, 4), z3.If(signed, z3.BitVecVal(7, 4), 15)
    rounded = kept + z3.If(kept == highest, 0, z3.ZeroExt(3, half))
    mask = z3.BitVecVal(-1, SCALED_BITS) << (z3.ZeroExt(SCALED_BITS - 6, shift) + z3.If(signed, z3.BitVecVal(3, 42), 4))
    beyond = (total ^ z3.SignExt(SCALED_BITS - 1, sign)) & mask != 0
    limit = z3.If(sign == 1, z3.If(signed, z3.BitVecVal(8, 4), 0), highest)
    return z3.If(z3.Or(beyond, z3.And(sign == 1, z3.Not(signed))), limit, rounded)


class Pass:
    """A pass of up to two entry slots, from an empty requantiser; the values of the channels are anything."""

    def __init__(self, cycles: int, circuit: Any = Requantiser) -> None:
        self.cycles, header = cycles, Header(CONFIG)
        Fragment.get(header, None)  # only its ports are read; Amaranth warns of what is never elaborated
        self.at = at = Unrolled(circuit(CONFIG, header), cycles, NAMES, header=header)
        self.sums = [z3.BitVec(f"sums_{i}", at("finished").size()) for i in range(2)]
        self.excesses = [z3.BitVec(f"excess_{i}", at("excess").size()) for i in range(2)]
        self.residuals = [z3.BitVec(f"residual_{i}", at("residual_data").size()) for i in range(2)]
        self.parameters = [at("parameter", i) for i in range(2)]
        self.layer, self.operands = at("header__layer"), at("header__operands")

    def flag(self, name: str) -> Any:
        return field(Opcode.LAYER, self.layer, name) == 1

    def around(self, slots: int) -> list[Any]:
        """What sequencer, array, header and AMem do in such a pass."""
        at, facts = self.at, []
        for cycle in range(self.cycles):
            facts.append(at("handover", cycle) == (cycle == HANDOVER))
            facts.append(at("parameter_valid", cycle) == (cycle < 2))
            facts += [at(name, cycle) == at(name) for name in NAMES if name.startswith("header__") and cycle]
            facts.append(at("finished", cycle) == z3.If(at("channel", cycle) == 0, *self.sums))
            facts.append(at("excess", cycle) == z3.If(at("channel", cycle) == 0, *self.excesses))
            valid, granted = at("write_back__valid", cycle), at("write_back__grant", cycle)
            facts.append(z3.Implies(granted, valid))
            facts.append(z3.Implies(at("residual__grant", cycle), at("residual__valid", cycle)))
            if cycle <= HANDOVER:
                facts += [z3.Not(at("busy", cycle)), z3.Not(valid)]
            if cycle:
                first = at("residual__address", cycle - 1) == at("residual_word", HANDOVER)
                word = z3.If(first, *self.residuals)
                facts.append(z3.Implies(at("residual__grant", cycle - 1), at("residual_data", cycle) == word))
        facts += [at("parameter_channel", i) == i for i in range(2)]
        facts += [at("new_group", HANDOVER), at("slots", HANDOVER) == slots]
        facts.append(z3.UGT(at("pixels", HANDOVER), 0))
        facts.append(at("header__residual_plane") == 1)
        facts.append(z3.Not(z3.And(self.flag("has_residual"), self.flag("accumulator_output"))))
        return facts

    def parameter(self, channel: int, name: str) -> Any:
        """A field of a channel's parameters."""
        return field(Opcode.PARAMETER, self.parameters[channel], name)

    def total(self, channel: int) -> Any:
        """What is rounded for lane 0 (engine.md, Values); the array's sums are biased by the excess."""
        accumulated = bits(self.sums[channel], 0, 24) - self.excesses[channel]
        biased = z3.SignExt(1, accumulated) + z3.SignExt(1, self.parameter(channel, "bias"))
        biased -= z3.If(z3.And(self.at("header__pooling"), self.flag("input_signed")), z3.BitVecVal(8, 25), 0)
        residual = bits(self.residuals[channel], 0, 4)
        factor = field(Opcode.OPERANDS, self.at("header__operands"), "residual_multiplier")
        factor = z3.If(self.flag("has_residual"), factor, 0)
        low, high = by_pairs(residual, factor, self.flag("residual_signed"))
        return z3.SignExt(1, product(biased, self.parameter(channel, "multiplier"))) + low + high

    def value(self, channel: int) -> Any:
        """Lane 0 of a channel's word."""
        return rounded_last(self.total(channel), self.parameter(channel, "shift"), self.flag("output_signed"))

    def bounds(self) -> list[Any]:
        """Shifts that the sequencer lets pass."""
        return [z3.ULE(field(Opcode.PARAMETER, one, "shift"), 40) for one in self.parameters]

    def grants_all(self) -> list[Any]:
        """Nobody else wants the banks."""
        at, cycles = self.at, range(self.cycles)
        facts = [at("write_back__grant", cycle) == at("write_back__valid", cycle) for cycle in cycles]
        return facts + [at("residual__grant", cycle) == at("residual__valid", cycle) for cycle in cycles]

    def written_in_order(self) -> Any:
        """The first granted write has the first channel's value and address, the next one the second's."""
        claims, before = [], z3.BitVecVal(0, 2)
        for cycle in range(HANDOVER + 1, self.cycles):
            granted = self.at("write_back__grant", cycle)
            for channel in range(2):
                address = self.at("output_word", HANDOVER)
                address = address + channel * bits(self.at("header__output_plane"), 0, address.size())
                data = bits(self.at("write_back__data", cycle), 0, 4)
                right = z3.And(data == self.value(channel), self.at("write_back__address", cycle) == address)
                claims.append(z3.Implies(z3.And(granted, before == channel), right))
            before = before + z3.If(granted, z3.BitVecVal(1, 2), 0)
        return z3.And(claims)


LAST = HANDOVER + 1 + DEPTH
"""The cycle of the first write, if nothing is refused."""


def check_sum(circuit: Any = Requantiser, has_residual: bool = False) -> bool:
    """Whether the one channel's sum, its shift and the count of pixels are in the registers when the write is due.

    For every sum of the array, residual, parameter and layer.
    """
    case = Pass(LAST + 1, circuit)
    facts = [*case.around(1), *case.bounds(), *case.grants_all(), z3.Not(case.flag("accumulator_output"))]
    facts.append(case.flag("has_residual") == has_residual)
    claims = [
        case.at("write_back__valid", LAST),
        case.at("scaled_0_2", LAST) == case.total(0),
        case.at("shift_2", LAST) == case.parameter(0, "shift"),
        case.at("pixels_kept", LAST) == case.at("pixels", HANDOVER),
    ]
    return case.at.proves(z3.And(claims), *facts)


def check_rounding(circuit: Any = Requantiser) -> bool:
    """Whether the last step rounds what the registers hold, whatever they hold."""
    case = Pass(2, circuit)
    total, shift, signed = case.at("scaled_0_2"), case.at("shift_2"), case.flag("output_signed")
    facts = z3.Not(case.flag("accumulator_output")), z3.UGT(case.at("pixels_kept"), 0), z3.ULE(shift, 40)
    return case.at.proves(bits(case.at("write_back__data"), 0, 4) == rounded_last(total, shift, signed), *facts)


def refusals(residual: bool, circuit: Any = Requantiser) -> tuple[Pass, list[Any]]:
    """Two channels of values that are told apart without a shift, and banks that refuse as they like."""
    case = Pass(LAST + 3, circuit)
    facts = [*case.around(2), z3.Not(case.flag("accumulator_output")), case.flag("output_signed")]
    facts += [field(Opcode.PARAMETER, one, "shift") == 0 for one in case.parameters]
    facts.append(case.flag("has_residual") == residual)
    if residual:
        facts.append(field(Opcode.OPERANDS, case.at("header__operands"), "residual_multiplier") == 1)
        facts += [field(Opcode.PARAMETER, one, "multiplier") == 0 for one in case.parameters]
    else:
        facts += [field(Opcode.PARAMETER, one, "bias") == 0 for one in case.parameters]
        facts.append(z3.Not(case.at("header__pooling")))
    return case, facts


def holds(claim: Any) -> bool:
    """Whether nothing contradicts a claim."""
    solver = z3.Solver()
    solver.add(z3.Not(claim))
    return bool(solver.check() == z3.unsat)


@pytest.mark.parametrize(("bound", "right"), [(40, True), (63, False)])
def test_rounding_after_the_shift_is_the_formula(bound: int, right: bool) -> None:
    total, shift, signed = z3.BitVec("total", SCALED_BITS), z3.BitVec("shift", 6), z3.Bool("signed")
    reach = z3.BitVecVal(1 << 40, SCALED_BITS)  # |sum| < 2^24, multiplier and residual's multiplier < 2^16
    facts = z3.And(total < reach, total >= -reach, z3.ULE(shift, bound))
    same = rounded_first(total, shift, signed) == rounded_last(total, shift, signed)
    assert holds(z3.Implies(facts, same)) == right


@pytest.mark.parametrize("signed", [False, True])
def test_pairs_of_bits_give_the_residuals_product(signed: bool) -> None:
    factor = z3.BitVec("factor", 16)
    wide = z3.ZeroExt(SCALED_BITS - 16, factor)
    for nibble in range(16):
        value = nibble - 16 if signed and nibble > 7 else nibble
        assert holds(sum(by_pairs(z3.BitVecVal(nibble, 4), factor, z3.BoolVal(signed))) == value * wide)


def test_the_last_step_rounds_every_sum() -> None:
    assert check_rounding()


@pytest.mark.slow
@pytest.mark.parametrize("has_residual", [False, True])
def test_the_sum_of_every_input(has_residual: bool) -> None:
    """With the step after it, the value of every input is written in its cycle."""
    assert check_sum(has_residual=has_residual)


@pytest.mark.slow
@pytest.mark.parametrize("residual", [False, True])
def test_refusals_change_no_value_and_no_address(residual: bool) -> None:
    case, facts = refusals(residual)
    assert case.at.proves(case.written_in_order(), *facts)
    held = [case.at("write_back__valid", LAST), z3.Not(case.at("write_back__grant", LAST))]
    assert case.at.allows(*facts, *held, case.at("write_back__grant", LAST + 1))


@pytest.mark.slow
@pytest.mark.parametrize("module", broken("the formula of engine.md, Values"))
def test_broken_arithmetic_is_found(module: Any) -> None:
    assert not (check_rounding(module.Requantiser) and check_sum(module.Requantiser, has_residual=True))


@pytest.mark.slow
@pytest.mark.parametrize("module", broken("a refused access changes no value"))
def test_a_broken_hold_is_found(module: Any) -> None:
    case, facts = refusals(True, module.Requantiser)
    assert not case.at.proves(case.written_in_order(), *facts)
