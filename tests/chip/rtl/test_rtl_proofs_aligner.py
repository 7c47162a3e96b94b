"""Proofs of the aligner: every map that keeps the order is routed, whatever layer it comes from."""

from __future__ import annotations

from typing import Any

import pytest
import z3
from formal import Unrolled, any_of, bits, broken, is_set

from tlm.chip.config import ChipConfig
from tlm.chip.rtl.aligner import Aligner, Network

BROKEN_NETWORKS = broken("a network moves nibbles without changing their order")
BROKEN_MASKS = broken("the mask gives padding its value")


def rank(mask: Any, index: int) -> Any:
    """How many bits of a mask are set below one of them."""
    width = mask.size().bit_length()
    return sum((z3.ZeroExt(width - 1, bits(mask, i)) for i in range(index)), z3.BitVecVal(0, width))


class Routing:
    """A network, any set of lanes, any set of as many positions, and any word; of its four like planes the first."""

    def __init__(self, lanes: int, circuit: Any = Network) -> None:
        self.lanes, self.stages = lanes, lanes.bit_length() - 1
        self.at = Unrolled(circuit(lanes), self.stages + 2, ["served", "needed", "word__0", "routed__0"])
        self.served, self.needed = self.at("served"), self.at("needed")
        self.legal = rank(self.served, lanes) == rank(self.needed, lanes)

    def arrives(self, lane: int) -> Any:
        """The lane's bit, which is the needed one of the same rank, is there behind the last stage."""
        claims, word, routed = [], self.at("word__0", 1), self.at("routed__0", 1 + self.stages)
        for position in range(self.lanes):
            same = rank(self.served, lane) == rank(self.needed, position)
            wanted = z3.And(is_set(self.served, lane), is_set(self.needed, position), same)
            claims.append(z3.Implies(wanted, bits(word, position) == bits(routed, lane)))
        return z3.And(claims)

    def all_arrive(self) -> bool:
        """A proof for each lane."""
        return all(self.at.proves(self.arrives(lane), self.legal) for lane in range(self.lanes))


class Step:
    """A whole aligner with two banks, and a step of one round that takes its pixels from both."""

    CONFIG = ChipConfig(lanes=8, columns=8, amem_banks=2)

    def __init__(self, circuit: Any = Aligner) -> None:
        config = self.CONFIG
        self.lanes, self.banks = config.lanes, range(config.amem_banks)
        self.there = config.sram_read_cycles + config.routing_stages + 1 + config.mask_cycles
        names = ["inside", "last_round", "fill"]
        names += [f"{port}__{bank}" for port in ("served", "read") for bank in self.banks]
        names += [f"{port}__{lane}" for port in ("source", "activations") for lane in range(self.lanes)]
        self.at = Unrolled(circuit(config), self.there + 1, names)

    def serves(self, bank: int, lane: int) -> Any:
        return is_set(self.at(f"served__{bank}"), lane)

    def legal(self) -> list[Any]:
        """Each lane inside has one bank, the others none, and the sources in a bank's word ascend along the lanes."""
        facts = [self.at("last_round")]
        above = [z3.BitVecVal(0, 4) for _ in self.banks]
        for lane in range(self.lanes):
            wide = z3.ZeroExt(1, self.at(f"source__{lane}"))
            wanted = [self.serves(bank, lane) for bank in self.banks]
            facts += [any_of(wanted) == is_set(self.at("inside"), lane), z3.AtMost(*wanted, 1)]
            facts += [z3.Implies(wanted[bank], z3.UGE(wide, above[bank])) for bank in self.banks]
            above = [z3.If(wanted[bank], wide + 1, above[bank]) for bank in self.banks]
        return facts

    def has_its_pixels(self) -> Any:
        """Each lane inside has the nibble of its source, the others the fill."""
        claims = []
        for lane in range(self.lanes):
            got, source = self.at(f"activations__{lane}", self.there), self.at(f"source__{lane}")
            for bank in self.banks:
                word = self.at(f"read__{bank}", 1)
                shifted = z3.LShR(word, 4 * z3.ZeroExt(word.size() - source.size(), source))
                claims.append(z3.Implies(self.serves(bank, lane), got == bits(shifted, 0, 4)))
            outside = z3.Not(is_set(self.at("inside"), lane))
            claims.append(z3.Implies(outside, got == self.at("fill", self.there - 1)))
        return z3.And(claims)


def test_eight_lanes_have_every_legal_map() -> None:
    routing = Routing(8)
    assert routing.all_arrive()
    assert routing.at.allows(routing.legal, rank(routing.served, 8) == 5)


@pytest.mark.parametrize("module", BROKEN_NETWORKS)
def test_a_broken_network_is_found(module: Any) -> None:
    assert not Routing(8, module.Network).all_arrive()


@pytest.mark.slow
def test_sixteen_lanes_have_every_legal_map() -> None:
    routing = Routing(16)
    assert routing.all_arrive()
    assert routing.at.allows(routing.legal, rank(routing.served, 16) == 8)


def test_a_step_has_its_pixels_and_its_padding() -> None:
    step = Step()
    assert step.at.proves(step.has_its_pixels(), *step.legal())
    assert step.at.allows(*step.legal(), step.at("inside") == 0x7E, step.at("served__0") == 0x2A)


@pytest.mark.slow
@pytest.mark.parametrize("module", BROKEN_MASKS)
def test_a_broken_mask_is_found(module: Any) -> None:
    step = Step(module.Aligner)
    assert not step.at.proves(step.has_its_pixels(), *step.legal())
