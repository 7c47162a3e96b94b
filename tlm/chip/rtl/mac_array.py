"""The Cartesian-product MAC array: every lane's activation meets every column's weight, each cycle.

Structure: activations and weights are registered once for a whole lane or column; a MAC is a 4x4-bit multiplier, an
adder and a 24-bit accumulator, with a second register that keeps a finished sum for the requantiser. A cycle without a
step multiplies by zero weights, so that an accumulator needs no enable.
Max pooling uses the same adders. One comparator per lane finds by how much the activation exceeds the accumulator of
the channel's row; that much is added, times a weight word with a 1 for this row alone.
Timing: ``step`` comes with the activations at the multipliers. Multiply and accumulate take multiply_cycles +
accumulate_cycles; ``done`` is up from the cycle after a pass's last accumulation until the handover.
Constraints: pooled signed activations are biased by 8, so that rows start at 0; the requantiser takes the 8 off.
"""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import Component, In, Out

from tlm.chip.config import ChipConfig
from tlm.chip.rtl.primitives import delayed, named

ACCUMULATOR_BITS = 24
NIBBLE = 4


class Column(Component):
    """The MACs of one output channel."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(
            {
                "activations": In(lanes * NIBBLE),
                "weight": In(signed(NIBBLE)),
                "high_weight": In(signed(NIBBLE + 1)),
                "handover": In(1),
                "clear": In(1),
                "sums": Out(lanes * ACCUMULATOR_BITS),
                "finished": Out(lanes * ACCUMULATOR_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """A multiplier, an adder and two registers for each lane."""
        m = Module()
        sums = []
        for lane in range(self.lanes):
            total = Signal(signed(ACCUMULATOR_BITS), name=f"sum_{lane}")
            activation = self.activations.word_select(lane, NIBBLE)
            product = named(
                m,
                f"product_{lane}",
                activation[: NIBBLE - 1] * self.weight + Mux(activation[-1], self.high_weight << (NIBBLE - 1), 0),
            )
            with m.If(self.clear):
                m.d.sync += total.eq(0)
            with m.Else():
                m.d.sync += total.eq(total + product)
            sums.append(total)
        with m.If(self.handover):
            m.d.sync += self.finished.eq(Cat(sums))
        m.d.comb += self.sums.eq(Cat(sums))
        return m


class MacArray(Component):
    """Operand registers, columns, and the comparators of max pooling."""

    def __init__(self, config: ChipConfig) -> None:
        self.config = config
        super().__init__(
            {
                "signed_input": In(1),
                "pooling": In(1),
                "clear": In(1),
                # in the cycle of the multipliers
                "step": In(1),
                "ends": In(1),
                "row": In(range(config.columns)),
                "activations": In(NIBBLE).array(config.lanes),
                "weights": In(NIBBLE * config.columns),
                # handover
                "done": Out(1),
                "handover": In(1),
                # a finished channel for the requantiser
                "channel": In(range(config.columns)),
                "finished": Out(ACCUMULATOR_BITS * config.lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Operands, then columns, then the finished sums."""
        m, config = Module(), self.config
        lanes, columns, early = config.lanes, config.columns, config.multiply_cycles - 1
        step = delayed(m, self.step, early, "step")
        row = delayed(m, self.row, early, "row")
        last = delayed(m, self.ends, early + config.accumulate_cycles, "last")
        words = delayed(m, self.weights, early, "weights")
        with m.If(last):
            m.d.sync += self.done.eq(1)
        with m.Elif(self.handover | self.clear):
            m.d.sync += self.done.eq(0)

        pooled_row = Signal(range(columns))
        active = Signal(columns * NIBBLE)
        m.d.sync += pooled_row.eq(row)
        with m.If(~step):
            m.d.sync += active.eq(0)
        with m.Elif(self.pooling):
            m.d.sync += active.eq(Cat(Mux(row == column, Const(1, NIBBLE), 0) for column in range(columns)))
        with m.Else():
            m.d.sync += active.eq(words)

        cells = [Column(lanes) for _ in range(columns)]
        for index, cell in enumerate(cells):
            m.submodules[f"column_{index}"] = cell
        sums = Array(cell.sums for cell in cells)
        of_row = named(m, "sums_of_row", sums[pooled_row])
        operands: list[Value] = []
        for lane, activation in enumerate(self.activations):
            operand = Signal(NIBBLE, name=f"operand_{lane}")
            m.d.sync += operand.eq(delayed(m, activation, early, f"activation_{lane}") ^ Cat(Const(0, 3), self._biased))
            highest = of_row.word_select(lane, ACCUMULATOR_BITS)[:NIBBLE]
            more = Signal(NIBBLE + 1, name=f"more_{lane}")
            m.d.comb += more.eq(operand - highest)
            operands.append(Mux(self.pooling, Mux(more[-1], 0, more[:NIBBLE]), operand))
        for column, cell in enumerate(cells):
            weight = active.word_select(column, NIBBLE).as_signed()
            m.d.comb += [
                cell.activations.eq(Cat(operands)),
                cell.weight.eq(weight),
                # the highest bit of a signed activation counts -8
                cell.high_weight.eq(Mux(self.signed_input & ~self.pooling, -weight, weight)),
                cell.handover.eq(self.handover),
                cell.clear.eq(self.handover | self.clear),
            ]
        m.d.comb += self.finished.eq(Array(cell.finished for cell in cells)[self.channel])
        return m

    @property
    def _biased(self) -> Value:
        return self.pooling & self.signed_input
