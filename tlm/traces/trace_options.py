"""What is recorded while a run goes on, and where it is written."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from pathlib import Path

from tlm.chip.fidelity import Fidelity
from tlm.core.arguments import expect, shown
from tlm.core.errors import InputError
from tlm.traces.trace_window import TraceWindow

WAVE_SUFFIXES = (".vcd", ".fst")
TIMELINE_SUFFIXES = (".json", ".json.gz")

OTHER_SUFFIXES = (
    *WAVE_SUFFIXES, *TIMELINE_SUFFIXES, ".gtkw", ".sucl", ".labels.txt", ".toml", ".npz", ".npy", ".onnx", ".csv"
)  # fmt: skip
"""Of files that a DRAM trace would otherwise replace by mistake: what a run reads and what else it writes."""

DRAM_CLOCK_MHZ = 800.0
"""Clock of a DRAM trace where the memory is no DRAM, MHz: that of LPDDR3-1600 and of DDR3-1600 [A]."""

DRAM_BURST_BYTES = (8, 16, 32, 64, 128, 256)
"""What a request of a DRAM simulator may move: bus width x burst length."""


class DramFormat(enum.Enum):
    """Whose trace format."""

    DRAMSIM3 = "dramsim3"
    """Each line has an address, READ or WRITE, and the DRAM cycle of its arrival."""
    RAMULATOR2 = "ramulator2"
    """Each line has LD or ST and an address; the order of the lines is all that it tells of time."""


class WaveLevel(enum.Enum):
    """How much a waveform shows."""

    PASS = "pass"
    """States, transfers and figures of each pass: cheap, in every fidelity."""
    CYCLE = "cycle"
    """Every access, step and word: fidelity "cycle", a window of the run as a rule."""
    RTL = "rtl"
    """Every signal of the circuit: fidelity "rtl", a window of the run as a rule."""

    @property
    def fidelity(self) -> Fidelity | None:
        """The only one that can show it; None if all can."""
        return None if self is WaveLevel.PASS else Fidelity(self.value)


@dataclass(frozen=True, kw_only=True)
class TraceOptions:
    """Traces of a run. They change no cycle and no output.

    Args:
        wave: waveform to write: .vcd, or .fst where GTKWave's converter is installed. Beside it NAME.gtkw (a layout for
            GTKWave), NAME.sucl (for Surfer) and NAME.labels.txt (names of the states).
        level: "pass", "cycle" or "rtl"; by default "pass", but "cycle" with a window, or where the run's fidelity is
            "cycle". In fidelity "rtl" a window means level "rtl".
        window: what a waveform of level "cycle" or "rtl" is written for, such as "layer:conv3_2.pw2"
            (docs/waveforms.md); by default the whole run.
        moment_cycle: the cycle that a waveform opens at, under the cursor; by default one where something happens.
        limit_mb: a waveform of these levels ends when it has grown to so many megabytes, and says so.
        timeline: trace for timeline viewers to write (docs/timeline-trace.md): .json or .json.gz.
        dram: trace of the requests to the off-chip memory to write, for a DRAM simulator (docs/dram-trace.md); its name
            must not end as those of other files do, such as .toml.
        dram_format: whose format: "dramsim3", the default, or "ramulator2".
        dram_clock_mhz: the clock that "dramsim3" counts arrival times in; by default that of chip.dram if the memory is
            DRAM, else 800 MHz.
        dram_burst_bytes: what a request of that simulator moves; by default the burst of chip.dram or chip.burst_bytes.

    Raises:
        InputError: a path, level, window, limit, format or clock that is not one.
    """

    wave: Path | str | None = None
    level: str | None = None
    window: str | None = None
    moment_cycle: int | None = None
    limit_mb: int = 256
    timeline: Path | str | None = None
    dram: Path | str | None = None
    dram_format: str | None = None
    dram_clock_mhz: float | None = None
    dram_burst_bytes: int | None = None

    def __post_init__(self) -> None:
        nothing = type(None)
        expect("trace.wave", self.wave, (str, Path, nothing))
        expect("trace.timeline", self.timeline, (str, Path, nothing))
        expect("trace.level", self.level, (str, nothing))
        expect("trace.window", self.window, (str, nothing))
        expect("trace.moment_cycle", self.moment_cycle, (int, nothing))
        expect("trace.limit_mb", self.limit_mb, int)
        _check_suffix("wave", self.wave, WAVE_SUFFIXES)
        _check_suffix("timeline", self.timeline, TIMELINE_SUFFIXES)
        self._check_dram()
        levels = [level.value for level in WaveLevel]
        if self.level not in (None, *levels):
            raise InputError(f"trace.level: {self.level!r} is not one of {', '.join(levels)}")
        for key, value, least in (("moment_cycle", self.moment_cycle, 0), ("limit_mb", self.limit_mb, 1)):
            if value is not None and value < least:
                raise InputError(f"trace.{key}: {shown(value)} is not allowed; give {least} or more")
        if self.window is not None:
            TraceWindow.parse(self.window)
            if self.level == WaveLevel.PASS.value:
                raise InputError(
                    f"trace.window: {self.window!r} limits a waveform of level 'cycle', but trace.level is 'pass', "
                    "which always shows the whole run; leave one of them out"
                )
        for key, text in (("level", self.level), ("window", self.window)):
            if text is not None and self.wave is None:
                raise InputError(f"trace.{key}: {text!r} needs a waveform; give trace.wave, too")

    def _check_dram(self) -> None:
        nothing = type(None)
        expect("trace.dram", self.dram, (str, Path, nothing))
        for suffix in OTHER_SUFFIXES if self.dram is not None else ():
            if str(self.dram).endswith(suffix):
                raise InputError(
                    f"trace.dram: {self.dram} ends in {suffix}, which says another kind of file; give NAME.trace"
                )
        expect("trace.dram_format", self.dram_format, (str, nothing))
        expect("trace.dram_clock_mhz", self.dram_clock_mhz, (int, float, nothing))
        expect("trace.dram_burst_bytes", self.dram_burst_bytes, (int, nothing))
        formats = [one.value for one in DramFormat]
        if self.dram_format not in (None, *formats):
            raise InputError(f"trace.dram_format: {self.dram_format!r} is not one of {', '.join(formats)}")
        clock = self.dram_clock_mhz
        if clock is not None and not 1 <= clock <= 10_000:
            raise InputError(f"trace.dram_clock_mhz: {shown(clock)} is outside 1..10000 MHz; give the DRAM's clock")
        burst_bytes = self.dram_burst_bytes
        if burst_bytes not in (None, *DRAM_BURST_BYTES):
            allowed = ", ".join(map(str, DRAM_BURST_BYTES))
            raise InputError(f"trace.dram_burst_bytes: {shown(burst_bytes)} is not one of {allowed}")
        given = {"dram_format": self.dram_format, "dram_clock_mhz": clock, "dram_burst_bytes": burst_bytes}
        for key, value in given.items():
            if value is not None and self.dram is None:
                raise InputError(f"trace.{key}: {value!r} needs a DRAM trace; give trace.dram, too")
        if clock is not None and self.dram_format_of_file is DramFormat.RAMULATOR2:
            raise InputError(
                f"trace.dram_clock_mhz: {clock!r} is of no use, as the format 'ramulator2' holds no times; "
                "leave it out or take trace.dram_format 'dramsim3'"
            )

    @property
    def wave_path(self) -> Path | None:
        """``wave`` as a path."""
        return None if self.wave is None else Path(self.wave)

    @property
    def timeline_path(self) -> Path | None:
        """``timeline`` as a path."""
        return None if self.timeline is None else Path(self.timeline)

    @property
    def dram_path(self) -> Path | None:
        """``dram`` as a path."""
        return None if self.dram is None else Path(self.dram)

    @property
    def dram_format_of_file(self) -> DramFormat:
        """``dram_format``, or its default."""
        return DramFormat(self.dram_format or DramFormat.DRAMSIM3.value)

    def wave_files(self) -> list[Path]:
        """The waveform and the files beside it: layouts and names of states."""
        wave = self.wave_path
        return [] if wave is None else [wave, *(wave.with_suffix(one) for one in (".gtkw", ".sucl", ".labels.txt"))]

    def files(self) -> list[Path]:
        """What is written, without the files beside a waveform."""
        return [path for path in (self.wave_path, self.timeline_path, self.dram_path) if path is not None]

    @property
    def trace_window(self) -> TraceWindow:
        """``window``, or everything."""
        return TraceWindow() if self.window is None else TraceWindow.parse(self.window)

    def wave_level(self, fidelity: Fidelity | None) -> WaveLevel:
        """The level: as said, else by the run's fidelity, if it is known, and by whether there is a window."""
        if self.level is not None:
            return WaveLevel(self.level)
        if fidelity is Fidelity.RTL and self.window is not None:
            return WaveLevel.RTL
        return WaveLevel.CYCLE if fidelity is Fidelity.CYCLE or self.window is not None else WaveLevel.PASS


def _check_suffix(key: str, path: Path | str | None, suffixes: tuple[str, ...]) -> None:
    if path is not None and not str(path).endswith(suffixes):
        raise InputError(f"trace.{key}: {path} ends in none of {', '.join(suffixes)}, which say the kind of file")
    if path is not None and re.search('[\0-\x1f"]', str(path)):  # GTKWave's layout names the dump, in quotes, on a line
        raise InputError(f"trace.{key}: {path} holds a quote or control characters; give a name without")
