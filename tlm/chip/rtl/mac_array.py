"""The Cartesian-product MAC array: every lane's activation meets every column's weight, each cycle.

Structure: activations and weights are registered once for a whole lane or column; a MAC is a 4x4-bit multiplier, an
adder and a 24-bit accumulator, with a second register that keeps a finished sum for the requantiser. A MAC knows no
negative product: activations arrive without sign, biased by 8 if the input is signed, and BIAS is added to each
product, so that above the product's 8 bits the adder only counts. A lane of its own, the reference, has the activation
that stands for 0; its sum in a column is what all lanes of that column have too much (C. R. Baugh and B. A. Wooley, A
Two's Complement Parallel Array Multiplication Algorithm, 1973, put the constants of the signs in each multiplier).
A cycle without a step multiplies 15 by -8, which BIAS makes 0, so that an accumulator needs no enable.
Max pooling uses the same adders. A lane keeps the maximum of the present channel; by how much the activation exceeds it
is added, times a weight word with a 1 for this channel's row alone.
Timing: ``step`` comes with the activations at the multipliers. Multiply and accumulate take multiply_cycles +
accumulate_cycles; ``done`` is up from the cycle after a pass's last accumulation until the handover.
Constraints: the steps of a channel follow one another. Pooled signed activations keep the 8, so that rows start at 0;
the requantiser takes it off.
"""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from tlm.chip.config import ChipConfig
from tlm.chip.rtl.primitives import copies, delayed, named

ACCUMULATOR_BITS = 24
NIBBLE = 4
BIAS = 120
"""What is added to each product: the least one is 15 * -8."""


class Column(Component):
    """The MACs of one output channel, the reference's among them."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(
            {
                "activations": In(lanes * NIBBLE),
                "weight": In(NIBBLE),
                "handover": In(1),
                "clear": In(1),
                "finished": Out(lanes * ACCUMULATOR_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """A multiplier, an adder and two registers for each lane."""
        m = Module()
        magnitude, sign = self.weight[:-1], self.weight[-1].replicate(NIBBLE)
        finished = []
        for lane in range(self.lanes):
            activation = self.activations.word_select(lane, NIBBLE)
            total = Signal(ACCUMULATOR_BITS, name=f"sum_{lane}")
            kept = Signal(ACCUMULATOR_BITS, name=f"finished_{lane}", reset_less=True)
            # BIAS - 8 * activation, if the weight has its highest bit, which counts -8
            high = ~(activation & sign) << (NIBBLE - 1)
            with m.If(self.clear):
                m.d.sync += total.eq(0)
            with m.Else():
                m.d.sync += total.eq(total + activation * magnitude + high)
            with m.If(self.handover):
                m.d.sync += kept.eq(total)
            finished.append(kept)
        m.d.comb += self.finished.eq(Cat(finished))
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
                # a finished channel for the requantiser; what its sums have too much
                "channel": In(range(config.columns)),
                "finished": Out(ACCUMULATOR_BITS * config.lanes),
                "excess": Out(ACCUMULATOR_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Operands, then columns, then the finished sums."""
        m, config = Module(), self.config
        lanes, columns, early = config.lanes, config.columns, config.multiply_cycles - 1
        step = delayed(m, self.step, early, "step", reset=True)
        row = delayed(m, self.row, early, "row")
        last = delayed(m, self.ends, early + config.accumulate_cycles, "last", reset=True)
        words = delayed(m, self.weights, early, "weights")
        with m.If(last):
            m.d.sync += self.done.eq(1)
        with m.Elif(self.handover | self.clear):
            m.d.sync += self.done.eq(0)

        weights = Signal(columns * NIBBLE)
        with m.If(~step):
            m.d.sync += weights.eq(Cat(Const(-8, NIBBLE) for _ in range(columns)))
        with m.Elif(self.pooling):
            m.d.sync += weights.eq(Cat(Mux(row == column, Const(1, NIBBLE), 0) for column in range(columns)))
        with m.Else():
            m.d.sync += weights.eq(words)

        activations = [delayed(m, value, early, f"activation_{lane}") for lane, value in enumerate(self.activations)]
        operands = named(m, "operands", self._operands(m, step, row, activations))
        cells = copies(m, platform, "column", columns, lambda: Column(lanes + 1))
        for index, cell in enumerate(cells):
            m.d.comb += [
                cell.activations.eq(operands),
                cell.weight.eq(weights.word_select(index, NIBBLE)),
                cell.handover.eq(self.handover),
                cell.clear.eq(self.handover | self.clear),
            ]
        m.d.comb += Cat(self.finished, self.excess).eq(Array(cell.finished for cell in cells)[self.channel])
        return m

    def _operands(self, m: Module, step: Value, row: Value, activations: list[Value]) -> Value:
        """What the lanes and the reference multiply."""
        sign = Cat(Const(0, NIBBLE - 1), self.signed_input)
        fresh, begins, last_row = Signal(), Signal(), Signal.like(row, name="last_row")
        with m.If(step):
            m.d.sync += [fresh.eq(0), begins.eq(fresh | (row != last_row)), last_row.eq(row)]
        with m.Elif(self.handover | self.clear):
            m.d.sync += fresh.eq(1)
        stepping = Signal()
        m.d.sync += stepping.eq(step)
        operands: list[Value] = []
        for lane, activation in enumerate(activations):
            operand = Signal(NIBBLE, name=f"operand_{lane}", reset_less=True)
            top = Signal(NIBBLE, name=f"top_{lane}", reset_less=True)
            highest = named(m, f"highest_{lane}", Mux(begins, 0, top))
            more = named(m, f"more_{lane}", operand - highest)
            m.d.sync += operand.eq(activation ^ sign)
            with m.If(stepping & self.pooling):
                m.d.sync += top.eq(Mux(more < 0, highest, operand))
            operands.append(Mux(self.pooling, Mux(more < 0, 0, more[:NIBBLE]), operand))
        operands.append(Mux(self.pooling, 0, sign))
        return Cat(Mux(stepping, operand, 15) for operand in operands)
