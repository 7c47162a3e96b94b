"""The off-chip DRAM in a waveform of every cycle: its commands as text, each bank's state and row."""

from __future__ import annotations

from collections.abc import Iterator

from tlm.chip.dram_config import DramConfig
from tlm.chip.kernels.dram import DramCommand, IssuedCommand
from tlm.chip.payloads import DramCommandPayload
from tlm.core.payload import Payload
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.watched import Watched
from tlm.traces.waves.dump import Dump
from tlm.traces.waves.signal_kinds import Colour, Group, Kind, Signal, state

_COMMAND = "memory.command"
_IDLE = "idle"


def dram_signals(dump: Dump, watched: Watched) -> Iterator[Signal]:
    """Nothing if the off-chip memory is not DRAM.

    A DRAM clock is shown in the core cycle in which it begins; several commands of a cycle stand side by side. A
    refresh that the controller reports later (docs/memory.md) shows its cycle: ``REF @1234``.
    """
    if not watched.system.config.uses_dram:
        return
    config = watched.system.config.dram
    for socket in watched.system.simulation.sockets():
        if isinstance(socket, InitiatorSocket) and socket.path == "memory.commands":
            socket.observe(_Banks(dump, watched).see, (Phase.BEGIN_REQ,))
    yield Signal(_COMMAND, Kind.TEXT, Group.DMA, "DRAM command", Colour.CONTROL, init="-")
    for bank in range(config.channels * config.ranks * config.banks):
        yield state(f"memory.bank_{bank}", Group.DMA if bank < config.banks else Group.MORE, f"bank {bank}", _IDLE)
        yield Signal(f"memory.row_{bank}", Kind.NUMBER, Group.MORE, f"row of bank {bank}", Colour.MOVE, init=None)


class _Banks:
    """Follows the commands.

    Args:
        dump: what shows them.
        watched: a run with DRAM.
    """

    def __init__(self, dump: Dump, watched: Watched) -> None:
        self._dump = dump
        self._clock = watched.system.simulation.clock
        self._config: DramConfig = watched.system.config.dram
        self._cycles_of_clock = watched.system.config.dram_clock_cycles
        self._shown: tuple[int, str] = -1, ""
        """Cycle of the last commands, and their text."""

    def see(self, _phase: Phase, _: InitiatorSocket[DramCommandPayload], payload: Payload) -> None:
        """A command."""
        assert isinstance(payload, DramCommandPayload)
        command, now = payload.command, self._clock.now
        cycle, before = self._shown
        text = command_text(command, self._config)
        text += f" @{command.cycle}" if command.cycle < now else ""
        text = f"{before}, {text}" if cycle == now else text
        self._shown = now, text
        self._dump.set(_COMMAND, text)
        self._dump.set_at(now + 1, _COMMAND, "-")
        match command.kind:
            case DramCommand.ACT:
                self._change(command, "activating", self._config.trcd_clocks, "active")
            case DramCommand.PRE:
                self._change(command, "precharging", self._config.trp_clocks, _IDLE)
            case DramCommand.REF:
                self._change(command, "refreshing", self._config.trfc_clocks, _IDLE)

    def _change(self, command: IssuedCommand, passing: str, clocks: int, after: str) -> None:
        """Banks that pass through a state for so many clocks."""
        end_cycle = int((command.clock + clocks) * self._cycles_of_clock)
        for bank in banks_of(command, self._config):
            name = f"memory.bank_{bank}"
            self._dump.set(name, passing if end_cycle > self._clock.now else after)
            if end_cycle > self._clock.now:
                self._dump.set_at(end_cycle, name, after)
            self._dump.set(f"memory.row_{bank}", command.row if command.kind is DramCommand.ACT else None)


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
