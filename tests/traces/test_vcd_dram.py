"""The off-chip DRAM in a waveform of every cycle, against the commands that its controller sent."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from examples import quick_of
from waves import CHIP, Waves, small_network

import tlm
from tlm.chip.dram_config import DramConfig, Preset
from tlm.chip.fidelity import Fidelity
from tlm.chip.kernels.dram import DramCommand, IssuedCommand
from tlm.chip.payloads import DramCommandPayload
from tlm.core.payload import Payload
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.watched import Watched
from tlm.traces.waves.dram_signals import banks_of, command_text

Sent = list[tuple[int, IssuedCommand]]

PASSING = {
    DramCommand.ACT: ("activating", "trcd_clocks", "active"),
    DramCommand.PRE: ("precharging", "trp_clocks", "idle"),
    DramCommand.REF: ("refreshing", "trfc_clocks", "idle"),
}
"""What a bank does after a command, for how long, and what it is then."""


def run(path: Path, dram: DramConfig) -> tuple[Sent, Waves]:
    """(cycle in which it was seen, command) of every command, and the waveform."""
    sent: Sent = []
    network, activations = small_network()

    def watch(watched: Watched) -> None:
        clock = watched.system.simulation.clock

        def see(_phase: Phase, _: InitiatorSocket[DramCommandPayload], payload: Payload) -> None:
            assert isinstance(payload, DramCommandPayload)
            sent.append((clock.now, payload.command))

        (socket,) = (one for one in watched.system.simulation.sockets() if one.path == "memory.commands")
        assert isinstance(socket, InitiatorSocket)
        socket.observe(see, (Phase.BEGIN_REQ,))

    options = tlm.TraceOptions(wave=path, level="cycle")
    chip = replace(CHIP, memory_model="dram", dram=dram)
    tlm.simulate(tlm.compile(network, chip), activations, trace=options, observers=[watch])
    return sent, Waves(path)


@pytest.mark.parametrize(
    "preset", quick_of(["lpddr3_1600_x32", "lpddr4_3200_x16", "ddr3l_1600_x16"], "lpddr4_3200_x16")
)
def test_commands_rows_and_states_are_those_of_the_bus(tmp_path: Path, preset: Preset) -> None:
    config = DramConfig(preset=preset, trefi_clocks=1000)  # a short run sees refreshes
    sent, waves = run(tmp_path / "w.vcd", config)
    texts: dict[int, list[str]] = {}
    for now, command in sent:
        late = f" @{command.cycle}" if command.cycle < now else ""
        texts.setdefault(now, []).append(command_text(command, config) + late)
    shown = waves.each_cycle("memory.command")
    assert shown == [", ".join(texts[cycle]) if cycle in texts else "-" for cycle in range(len(shown))]
    assert {command.kind for _, command in sent} == set(DramCommand)
    for bank in range(config.banks):
        shown_rows = waves.each_cycle(f"memory.row_{bank}")
        rows = [None if str(value).startswith("z") else value for value in shown_rows]
        states = waves.each_state(f"memory.bank_{bank}")
        own = [(now, one) for now, one in sent if bank in banks_of(one, config)]
        changes = [(now, one) for now, one in own if one.kind in PASSING]
        assert set(rows[: changes[0][0]]) == {None}
        for (now, command), (until, _) in zip(changes, [*changes[1:], (len(rows), None)], strict=True):
            assert set(rows[now:until]) <= {command.row if command.kind is DramCommand.ACT else None}
            passing, key, after = PASSING[command.kind]
            end = (command.clock + getattr(config, key)) * config.tck_ps * CHIP.clock_khz // 10**9
            assert states[now:until] == [passing if cycle < end else after for cycle in range(now, until)]
        for now, command in own:
            if command.kind not in PASSING:
                assert (states[now], rows[now]) == ("active", command.row)


@pytest.mark.parametrize("fidelity", quick_of(["pass", "cycle"], "pass"))
def test_a_waveform_of_passes_shows_them_too(tmp_path: Path, fidelity: Fidelity) -> None:
    """As that of every cycle does, but in its cycle also what comes while no request is under way."""
    config = DramConfig(preset="ddr3l_1600_x16", page_policy="closed", trefi_clocks=1500)
    sent, _ = run(tmp_path / "cycle.vcd", config)
    network, activations = small_network()
    options = tlm.TraceOptions(wave=tmp_path / "pass.vcd", level="pass")
    chip = replace(CHIP, memory_model="dram", dram=config)
    result = tlm.simulate(network, activations, chip, fidelity=fidelity, trace=options)
    waves = Waves(tmp_path / "pass.vcd")
    texts: dict[int, list[str]] = {}
    for _, command in sent:
        texts.setdefault(command.cycle, []).append(command_text(command, config))
    shown = {cycle: text for cycle, text in waves.changes("memory.command") if text != "-"}
    assert shown == {cycle: ", ".join(own) for cycle, own in texts.items()}
    for bank in range(config.banks):
        opened = [command.row for _, command in sent if command.kind is DramCommand.ACT and command.bank == bank]
        assert [row for _, row in waves.changes(f"memory.row_{bank}") if isinstance(row, int)] == opened
        assert {state for _, state in waves.states(f"memory.bank_{bank}")} >= {"refreshing", "idle"}
    assert result.dram is not None
    counts = result.dram.counts
    kinds = Counter(text.split()[0] for texts in shown.values() for text in texts.split(", "))
    assert kinds["ACT"] == counts.activates
    assert kinds["RD"] + kinds["WR"] == counts.reads + counts.writes
    assert kinds["REF"] == counts.refreshes


def test_a_command_as_text() -> None:
    config = DramConfig(ranks=2)
    command = IssuedCommand(DramCommand.RD, 40, 27, 0, 1, 3, 17, 128, 0, False)
    assert command_text(command, config) == "RD b11 r17 c128"
    assert command_text(command._replace(kind=DramCommand.ACT, column=None), config) == "ACT b11 r17"
    refresh = command._replace(kind=DramCommand.REF, rank=0, bank=None, row=None, column=None)
    assert command_text(refresh, config) == "REF b0-7"


def test_a_memory_that_is_no_dram_has_no_banks(tmp_path: Path) -> None:
    network, activations = small_network()
    options = tlm.TraceOptions(wave=tmp_path / "w.vcd", level="cycle")
    tlm.simulate(tlm.compile(network, CHIP), activations, trace=options)
    assert not [name for name in Waves(tmp_path / "w.vcd").names if name.startswith(("memory.bank", "memory.command"))]
