"""The off-chip DRAM in a waveform: its commands as text, each bank's state and row."""

from __future__ import annotations

from collections.abc import Iterator

from tlm.chip.config import ChipConfig
from tlm.chip.dram_config import DramConfig
from tlm.chip.kernels.dram import DramCommand, IssuedCommand
from tlm.chip.payloads import DramCommandPayload
from tlm.core.payload import Payload
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.watched import Watched
from tlm.traces.waves.dump import Dump
from tlm.traces.waves.signal_kinds import Colour, Group, Kind, Signal, Value, state

COMMAND = "memory.command"
"""The signal that shows commands."""
_IDLE = "idle"
_PASSING = {
    DramCommand.ACT: ("activating", "trcd_clocks", "active"),
    DramCommand.PRE: ("precharging", "trp_clocks", _IDLE),
    DramCommand.REF: ("refreshing", "trfc_clocks", _IDLE),
}
"""What a bank does after a command, for how long, and what it is then."""


def dram_signals(config: ChipConfig) -> Iterator[Signal]:
    """None if the off-chip memory is not DRAM. Banks are numbered through all ranks and channels."""
    if not config.uses_dram:
        return
    dram = config.dram
    yield Signal(COMMAND, Kind.TEXT, Group.DMA, "DRAM command", Colour.CONTROL, init="-")
    for bank in range(dram.channels * dram.ranks * dram.banks):
        yield state(f"memory.bank_{bank}", Group.DMA if bank < dram.banks else Group.MORE, f"bank {bank}", _IDLE)
        yield Signal(f"memory.row_{bank}", Kind.NUMBER, Group.MORE, f"row of bank {bank}", Colour.MOVE, init=None)


def watch_dram(dump: Dump, watched: Watched) -> None:
    """Show the commands of a run in fidelity "cycle" as they come.

    A DRAM clock is shown in the core cycle in which it begins; several commands of a cycle stand side by side. A
    refresh that the controller reports later (docs/memory.md) shows its cycle: ``REF @1234``.
    """
    clock, shown = watched.system.simulation.clock, CommandChanges(watched.system.config)

    def see(_phase: Phase, _: InitiatorSocket[DramCommandPayload], payload: Payload) -> None:
        assert isinstance(payload, DramCommandPayload)
        for cycle, name, value in shown.of(payload.command, clock.now):
            if cycle == clock.now:
                dump.set(name, value)
            else:
                dump.set_at(cycle, name, value)

    for socket in watched.system.simulation.sockets():
        if isinstance(socket, InitiatorSocket) and socket.path == "memory.commands":
            socket.observe(see, (Phase.BEGIN_REQ,))


class CommandChanges:
    """What commands, in their order, change in a waveform.

    Args:
        config: with DRAM.
    """

    def __init__(self, config: ChipConfig) -> None:
        self._dram = config.dram
        self._cycles_of_clock = config.dram_clock_cycles
        self._shown: tuple[int, str] = -1, ""
        """Cycle of the last commands, and their text."""

    def of(self, command: IssuedCommand, now: int) -> Iterator[tuple[int, str, Value]]:
        """(cycle, signal, value) of a command shown in cycle ``now``; of two for a cycle the later one counts."""
        cycle, before = self._shown
        text = command_text(command, self._dram)
        text += f" @{command.cycle}" if command.cycle < now else ""
        text = f"{before}, {text}" if cycle == now else text
        self._shown = now, text
        yield now, COMMAND, text
        yield now + 1, COMMAND, "-"
        if command.kind not in _PASSING:
            return
        passing, clocks, after = _PASSING[command.kind]
        end_cycle = int((command.clock + getattr(self._dram, clocks)) * self._cycles_of_clock)
        for bank in banks_of(command, self._dram):
            yield now, f"memory.bank_{bank}", passing if end_cycle > now else after
            if end_cycle > now:
                yield end_cycle, f"memory.bank_{bank}", after
            yield now, f"memory.row_{bank}", command.row if command.kind is DramCommand.ACT else None


def banks_of(command: IssuedCommand, config: DramConfig) -> range:
    """The banks that a command concerns, numbered through all ranks and channels."""
    first = (command.channel * config.ranks + command.rank) * config.banks
    banks = range(first, first + config.banks)
    return banks if command.bank is None else banks[command.bank : command.bank + 1]


def command_text(command: IssuedCommand, config: DramConfig) -> str:
    """A command with its bank, numbered as the signals, its row and its column: ``RD b3 r17 c128``."""
    banks = banks_of(command, config)
    places = [f"b{banks.start}" if command.bank is not None else f"b{banks.start}-{banks[-1]}"]
    places += [f"r{command.row}"] if command.row is not None else []
    places += [f"c{command.column}"] if command.column is not None else []
    return " ".join([command.kind.name, *places])
