"""The circuit's own signals in a waveform, as an independent reader sees them."""

from __future__ import annotations

import shutil
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pywellen
from fidelities import assert_equal
from rtl_chip import CHIP, observed

import tlm
from tlm.chip.fidelity import Fidelity
from tlm.chip.format.descriptor import sram_banks
from tlm.chip.format.driver import SramName
from tlm.chip.system import System
from tlm.core.errors import TlmError, TraceWarning
from tlm.networks.seeded import seeded_activations
from tlm.observe.faults import BitFlip, FaultTarget
from tlm.traces.waves.signal_kinds import start_ps

pytestmark = pytest.mark.slow

NETWORK = tlm.Network((8, 12, 12), [tlm.MaxPool2d("p", 3, padding=1), tlm.MaxPool2d("q", 2)])
VALUES = seeded_activations(NETWORK.input_shape, 3, signed=False)
PROGRAM = tlm.compile(NETWORK, CHIP)
BLOCKS = {
    "amem", "wmem", "imem", "registers", "header", "sequencer", "address_generator", "aligner", "mac_array",
    "requantiser",
}  # fmt: skip


def run(path: Path, window: str | None = None, faults: Sequence[BitFlip] = (), **keys: Any) -> tlm.Result:
    options = tlm.TraceOptions(wave=path, level="rtl", window=window, **keys)
    return tlm.simulate(PROGRAM, VALUES, trace=options, faults=faults)


class Signals:
    """A dump of the circuit; signals are named from the engine on."""

    def __init__(self, path: Path) -> None:
        wave = pywellen.Waveform(str(path))
        self._vars = {one.full_name.partition("engine.")[2]: one for one in wave.all_vars()}
        self.names = set(self._vars)

    def changes(self, name: str) -> list[tuple[int, int]]:
        return list(self._vars[name].signal)

    def cycles(self) -> list[int]:
        """Where each cycle begins, ps."""
        return [time for time, value in self.changes("clk") if value]

    def at_cycles(self, name: str) -> list[int]:
        """Its value in each cycle."""
        changes = self.changes(name)
        times = [time for time, _ in changes]
        return [changes[bisect_right(times, cycle) - 1][1] for cycle in self.cycles()]


def test_the_writes_in_a_waveform_are_what_the_srams_hold_at_the_end(tmp_path: Path) -> None:
    result, path = run(tmp_path / "w.vcd"), tmp_path / "w.vcd"
    assert_equal(tlm.simulate(PROGRAM, VALUES, fidelity="cycle"), result)
    assert result.fidelity == "rtl"
    signals, held = Signals(path), observed(System(CHIP, Fidelity.RTL), PROGRAM, VALUES).srams
    assert {name.partition(".")[0] for name in signals.names if "." in name} >= BLOCKS
    for sram in SramName:
        name, banks, size = sram.name.lower(), sram_banks(sram, CHIP), 8 if sram is SramName.IMEM else 4
        words = dict[int, int]()
        for bank in range(banks):
            place = f"{name}.bank_{bank}"
            wires = [signals.at_cycles(f"{place}.{wire}") for wire in ("enable", "write", "address", "write_data")]
            writes = [one for one in zip(*wires, strict=True) if one[0] and one[1]]
            words |= {address * banks + bank: data for _, _, address, data in writes}
        for word, data in words.items():
            assert data.to_bytes(size, "little") == held[sram][word * size : (word + 1) * size], (name, word)
        assert bool(words) == any(held[sram])


def test_fst_has_the_same_window(tmp_path: Path) -> None:
    if shutil.which("vcd2fst") is None:
        pytest.skip("not installed: vcd2fst (Debian: gtkwave)")
    for name in ("w.vcd", "w.fst"):
        run(tmp_path / name, "cycles:100..140")
    clear, fst = Signals(tmp_path / "w.vcd"), Signals(tmp_path / "w.fst")
    assert fst.cycles() == [start_ps(cycle, CHIP.clock_khz) for cycle in range(100, 141)]
    assert fst.names == clear.names
    assert all(fst.at_cycles(name) == clear.at_cycles(name) for name in clear.names)
    assert len(set(fst.at_cycles("imem.dma_load__address"))) > 1


def test_a_window_is_all_that_is_written(tmp_path: Path) -> None:
    khz = CHIP.clock_khz
    run(tmp_path / "w.vcd", "cycles:100..140")
    assert Signals(tmp_path / "w.vcd").cycles() == [start_ps(cycle, khz) for cycle in range(100, 141)]
    passes = run(tmp_path / "w.vcd", "layer:q,pass:0..0").passes["q"]
    cycles = Signals(tmp_path / "w.vcd").cycles()
    assert cycles[-1] == start_ps(passes[0].last_write_cycle, khz)
    assert cycles == [start_ps(passes[0].last_write_cycle - back, khz) for back in reversed(range(len(cycles)))]
    assert cycles[0] <= start_ps(passes[0].first_cycle, khz)
    with pytest.warns(TraceWarning, match=r"w\.vcd is empty: the run ended with cycle \d+, before the window"):
        run(tmp_path / "w.vcd", "cycles:1000000..1000001")


def test_it_ends_where_it_has_grown_to_its_limit(tmp_path: Path) -> None:
    with pytest.warns(TraceWarning, match=r"w\.vcd was cut in cycle \d+ of \d+, where it had grown to 1 MB"):
        run(tmp_path / "w.vcd", limit_mb=1)
    assert (tmp_path / "w.vcd").stat().st_size < 2e6


def test_a_run_that_fails_leaves_a_waveform_up_to_then(tmp_path: Path) -> None:
    begin = tlm.simulate(PROGRAM, VALUES).layers["p"].start_cycle
    with pytest.raises(TlmError, match=r"in cycle \d+"):
        run(tmp_path / "w.vcd", faults=[BitFlip(FaultTarget.IMEM, 1, 63, begin - 20)])
    cycles = Signals(tmp_path / "w.vcd").cycles()
    assert start_ps(begin - 20, CHIP.clock_khz) < cycles[-1] < start_ps(begin + 400, CHIP.clock_khz)
    assert [path.name for path in tmp_path.iterdir()] == ["w.vcd"]
