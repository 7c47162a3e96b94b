"""The aligner: moves the nibbles of each bank's word to the lanes that need them.

Structure: each bank has a network of its own, "compress, then expand". Along a word the needed nibbles are in the
order of their lanes. The compress half moves them together to the low end; a nibble's way never grows shorter along
the word, so moving by 1, 2, 4 .. never makes two meet. The expand half is a compress half run backwards, for the lanes
instead of the positions: it spreads the nibbles to their lanes by .., 4, 2, 1. That routes every map that keeps the
order, whatever stride, dilation, padding or row end. Behind the networks a lane takes the one that carries its pixel.
Timing: 2 * log2(lanes) levels of multiplexers, two in each of log2(lanes) stages; then the mask. The first stage works
in the cycle after the word was registered (engine.md, A pass).
Constraints: a step of several rounds gathers in the mask's register; the last round completes it.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from tlm.chip.config import ChipConfig
from tlm.chip.rtl.primitives import delayed, named, powers

NIBBLE = 4


def moves(m: Module, marked: Value, name: str) -> list[Signal]:
    """How to compress: per level (by 1, 2, 4 ..) the positions whose nibble moves down in it.

    A marked nibble moves by the number of unmarked positions below it. Its bits are found level by level as parities of
    that number (H. S. Warren, Hacker's Delight, 7-4).
    """
    width, levels = len(marked), list[Signal]()
    unmarked = named(m, f"{name}_unmarked", (~marked << 1)[:width])
    for distance in powers(width):
        parity = unmarked
        for reach in powers(width):
            parity = named(m, f"{name}_parity_{distance}_{reach}", (parity ^ (parity << reach))[:width])
        move = named(m, f"{name}_move_{distance}", parity & marked)
        marked = named(m, f"{name}_marked_{distance}", (marked ^ move) | (move >> distance))
        unmarked = named(m, f"{name}_left_{distance}", unmarked & ~parity)
        levels.append(move)
    return levels


def compress_level(planes: list[Value], move: Value, distance: int) -> list[Value]:
    """Nibbles at the positions ``move`` go down by ``distance``; what is not needed must be 0."""
    return [(plane & ~move) | ((plane & move) >> distance) for plane in planes]


def expand_level(planes: list[Value], move: Value, distance: int) -> list[Value]:
    """The way back: the positions ``move`` take the nibble from ``distance`` below."""
    return [(plane & ~move) | ((plane << distance)[: len(plane)] & move) for plane in planes]


class Network(Component):
    """One bank's routing network, with a register behind each stage of two levels.

    Words are four planes: plane b has bit b of every nibble.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(
            {
                # the cycle of the SRAM's data
                "served": In(lanes),
                "needed": In(lanes),
                # the cycle after
                "word": In(lanes).array(NIBBLE),
                # behind the last stage
                "routed": Out(lanes).array(NIBBLE),
                "arrives": Out(lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The moves of a half in the cycle before its first stage; each waits for its stage."""
        m = Module()
        distances = list(powers(self.lanes))
        half = len(distances) // 2
        needed, served = named(m, "needed_now", self.needed), delayed(m, self.served, half, "served")
        m.d.comb += self.arrives.eq(delayed(m, served, len(distances) + 1 - half, "arrives"))
        down, up = moves(m, needed, "down"), moves(m, served, "up")
        levels = [(compress_level, move, distance, 0) for move, distance in zip(down, distances, strict=True)]
        levels += [
            (expand_level, move, distance, half)
            for move, distance in zip(reversed(up), reversed(distances), strict=True)
        ]
        kept = delayed(m, needed, 1, "needed")
        planes: list[Value] = [plane & kept for plane in self.word]
        for index, (level, move, distance, since) in enumerate(levels):
            now = delayed(m, move, 1 + index // 2 - since, f"{level.__name__}_{distance}")
            planes = [named(m, f"level_{index}_{bit}", plane) for bit, plane in enumerate(level(planes, now, distance))]
            if index % 2:
                planes = [delayed(m, plane, 1, f"stage_{index // 2}_{bit}") for bit, plane in enumerate(planes)]
        m.d.comb += [routed.eq(plane) for routed, plane in zip(self.routed, planes, strict=True)]
        return m


class Aligner(Component):
    """A network per bank, and the mask."""

    def __init__(self, config: ChipConfig) -> None:
        self.config = config
        lanes, banks = config.lanes, config.amem_banks
        super().__init__(
            {
                # the cycle of the reads
                "served": In(lanes).array(banks),
                "source": In(config.routing_stages).array(lanes),
                "inside": In(lanes),
                "last_round": In(1),
                # the cycle after, from AMem
                "read": In(NIBBLE * lanes).array(banks),
                # padding in max pooling is the lowest value instead of 0
                "fill": In(NIBBLE),
                # in the cycle of the multipliers
                "activations": Out(NIBBLE).array(lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Needed positions from the lanes' sources, the networks, and the mask."""
        m, config = Module(), self.config
        lanes, stages, wait = config.lanes, config.routing_stages, config.sram_read_cycles
        sources = [delayed(m, source, wait, f"source_{lane}") for lane, source in enumerate(self.source)]
        at_position = [
            [named(m, f"lane_{i}_at_{p}", source == p) for i, source in enumerate(sources)] for p in range(lanes)
        ]
        routed, arrives = [], []
        for bank, read in enumerate(self.read):
            m.submodules[f"network_{bank}"] = network = Network(lanes)
            served = delayed(m, self.served[bank], wait, f"served_{bank}")
            word = delayed(m, read, wait, f"word_{bank}")
            m.d.comb += [
                network.served.eq(served),
                network.needed.eq(Cat((Cat(of_lanes) & served).any() for of_lanes in at_position)),
            ]
            m.d.comb += [network.word[bit].eq(Cat(word[bit::NIBBLE])) for bit in range(NIBBLE)]
            routed.append(network.routed)
            arrives.append(network.arrives)
        inside = delayed(m, self.inside, wait + stages + 1, "inside")
        completes = delayed(m, self.last_round, wait + stages + 1, "completes")
        for lane in range(lanes):
            pixel = Signal(NIBBLE, name=f"pixel_{lane}")
            for planes, arrive in zip(routed, arrives, strict=True):
                with m.If(arrive[lane]):
                    m.d.comb += pixel.eq(Cat(plane[lane] for plane in planes))
            masked = Signal(NIBBLE, name=f"masked_{lane}", reset_less=True)
            with m.If(Cat(arrive[lane] for arrive in arrives).any()):
                m.d.sync += masked.eq(pixel)
            with m.Elif(completes & ~inside[lane]):
                m.d.sync += masked.eq(self.fill)
            m.d.comb += self.activations[lane].eq(delayed(m, masked, config.mask_cycles - 1, f"masked_{lane}"))
        return m
