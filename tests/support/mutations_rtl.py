"""What ``make mutations`` changes in the circuit (tlm/chip/rtl)."""

from __future__ import annotations

from mutation_rules import Mutation


def _rtl(rule: str, file: str, old: str, new: str) -> Mutation:
    return Mutation(rule, "rtl", f"tlm/chip/rtl/{file}.py", old, new)


_SRAM = (
    _rtl(
        "fixed priority decides who has a bank",
        "sram",
        "for number, port in enumerate(PORTS[self.sram]):",
        "for number, port in reversed(list(enumerate(PORTS[self.sram]))):",
    ),
    _rtl("fixed priority decides who has a bank", "sram", "wires.valid & of_bank & ~taken", "wires.valid & of_bank"),
    _rtl(
        "fixed priority decides who has a bank",
        "sram",
        "wires.valid & of_bank & ~taken",
        "wires.valid & (~taken if port == 'dma_store' else of_bank & ~taken)",
    ),
    _rtl("a granted access is done", "sram", "Mux(served, wires.write, write)", "wires.write"),
    _rtl("a granted access is done", "sram", "Mux(served, wires.data, data)", "wires.data"),
)

_ALIGNER = (
    _rtl(
        "a network moves nibbles without changing their order",
        "aligner",
        "zip(reversed(up), reversed(distances), strict=True)",
        "zip(up, distances, strict=True)",
    ),
    _rtl(
        "a network moves nibbles without changing their order",
        "aligner",
        "[plane & kept for plane in self.word]",
        "list(self.word)",
    ),
    _rtl(
        "a network moves nibbles without changing their order",
        "aligner",
        "delayed(m, move, 1 + index // 2 - since,",
        "delayed(m, move, 1 + (index + 1) // 2 - since,",
    ),
    _rtl("the mask gives padding its value", "aligner", "masked.eq(self.fill)", "masked.eq(0)"),
    _rtl("the mask gives padding its value", "aligner", "completes & ~inside[lane]", "~inside[lane] & 0"),
    _rtl("the mask keeps what earlier rounds brought", "aligner", "completes & ~inside[lane]", "completes"),
    _rtl("log2(lanes) routing stages", "aligner", "if index % 2:", "if index % 2 and index > 1:"),
    _rtl("sram_read_cycles", "aligner", "word = delayed(m, read, wait,", "word = delayed(m, read, wait - 1,"),
    _rtl("mask_cycles", "aligner", "config.mask_cycles - 1,", "config.mask_cycles,"),
)

_MAC_ARRAY = (
    _rtl("multiply_cycles", "mac_array", "config.multiply_cycles - 1", "config.multiply_cycles"),
    _rtl(
        "accumulate_cycles", "mac_array", "early + config.accumulate_cycles,", "early + config.accumulate_cycles - 1,"
    ),
    _rtl("a cycle without a step leaves the sums as they are", "mac_array", "Mux(stepping, operand, 15)", "operand"),
    _rtl("the reference's sum is what every lane has too much", "mac_array", "Mux(self.pooling, 0, sign)", "sign"),
    _rtl(
        "a step of max pooling keeps the maximum in its channel's row",
        "mac_array",
        "begins.eq(fresh | (row != last_row))",
        "begins.eq(fresh)",
    ),
)

_BEATS = "a beat moves its bytes in its own cycle"
_DMA = (
    Mutation(_BEATS, "rtl", "kernels/dma.c", "c->served_bytes = 0;", ""),
    Mutation(_BEATS, "rtl", "kernels/dma.c", "int64_t row = c->served_bytes / row_bytes(d, x),", "int64_t row = 0,"),
)

_REQUANTISER = (
    _rtl(
        "the formula of engine.md, Values",
        "requantiser",
        "half & ~highest",
        "half",
    ),
    _rtl("the formula of engine.md, Values", "requantiser", "| (sign & ~signed_output)", ""),
    _rtl(
        "the formula of engine.md, Values",
        "requantiser",
        "Mux(layer.residual_signed, -once, thrice)",
        "thrice",
    ),
    _rtl(
        "a refused access changes no value",
        "requantiser",
        "frozen.eq(valid[-1] & ~self.write_back.grant)",
        "frozen.eq(0)",
    ),
    _rtl(
        "a refused access changes no value", "requantiser", "Mux(fresh, self.residual_data, kept)", "self.residual_data"
    ),
    _rtl("a refused access changes no value", "requantiser", "(~layer.has_residual | self.residual.grant)", "1"),
    _rtl(
        "a group's parameters replace the last ones at its handover",
        "requantiser",
        "Cat(self.parameter_channel, ~current)",
        "Cat(self.parameter_channel, current)",
    ),
)

_GAP = "a pass follows the handover after pass_gap_cycles"
_GOES_ON = "the sequencer goes on when all is there"
_SEQUENCER = (
    _rtl(_GAP, "sequencer", "self._gap.eq(config.pass_gap_cycles - 1)", "self._gap.eq(config.pass_gap_cycles - 2)"),
    _rtl(_GAP, "sequencer", "State.GAP if config.pass_gap_cycles > 1 else State.PATTERN", "State.PATTERN"),
    _rtl(
        _GOES_ON,
        "sequencer",
        "(~self._any | self.last_round & ~self._others.any())",
        "(self.last_round & self._any & ~self._others.any())",
    ),
    _rtl(_GOES_ON, "sequencer", "self.done & ~self.busy", "self.done & self.busy"),
    _rtl(
        "handover in the cycle after the last write of the pass before, if that is later",
        "sequencer",
        "self.done & ~self.busy",
        "self.done",
    ),
)

_CHECKS = "every check of a header word is in the circuit, at its limit"
_HEADER = (
    _rtl(_CHECKS, "header", "end_word > self._whole_plane", "end_word >= self._whole_plane"),
    _rtl(_CHECKS, "header", "band.first_tile + band.tile_count > self", "band.first_tile + band.tile_count >= self"),
    _rtl(_CHECKS, "header", "last_word >= end_word", "last_word > end_word"),
    _rtl(_CHECKS, "header", "return end > words", "return end >= words"),
)

MUTATIONS = (*_SRAM, *_ALIGNER, *_MAC_ARRAY, *_DMA, *_REQUANTISER, *_SEQUENCER, *_HEADER)
