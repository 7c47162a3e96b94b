"""The commands and their arguments. The work of a command is ``run(arguments)`` of the module of its name."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from tlm.core.errors import one_line

USAGE = 2
"""Exit status of a wrong command line."""


class Argument(NamedTuple):
    """One argument, as ``add_argument`` of argparse takes it."""

    names: tuple[str, ...]
    options: dict[str, Any]
    least: int | None = None
    """The smallest number that is allowed."""

    @property
    def key(self) -> str:
        """Its attribute of the parsed arguments."""
        long = next((name for name in self.names if name.startswith("--")), self.names[0])
        return str(self.options.get("dest", long.lstrip("-").replace("-", "_")))


class Command(NamedTuple):
    """What ``tlm --help`` and ``tlm COMMAND --help`` say."""

    summary: str
    arguments: tuple[Argument, ...] = ()
    details: str = ""
    """Instead of the summary in the command's own help."""


def _argument(*names: str, **options: Any) -> Argument:
    return Argument(names, options)


def _path(*names: str, **options: Any) -> Argument:
    return Argument(names, {"type": Path, **options})


def _number(*names: str, least: int | None = None, **options: Any) -> Argument:
    return Argument(names, {"type": int, "metavar": "N", **options}, least)


def _switch(name: str, text: str) -> Argument:
    return Argument((name,), {"action": "store_true", "help": text})


def _repeated(*names: str, **options: Any) -> Argument:
    return Argument(names, {"action": "append", "default": [], **options})


def _formats(rows: str) -> tuple[Argument, Argument]:
    return (
        _switch("--json", "print all of it as JSON, and nothing else"),
        _switch("--csv", f"print CSV, and nothing else: a row for each {rows}"),
    )


_WIDE = _switch("--wide", "print all columns, also those beyond 80 characters")
_PROCESSES = _number("--processes", help="processes on this machine (default: one per core)")
_RESULT = "result.json, or the directory that holds it"
_NAMED = "or the name of one that `tlm list` shows"
_SETTING = "change a key, e.g. chip.voltage_v=0.8 (may be repeated)"
_CHIP_SETTING = "change a key of chip or energy, e.g. chip.amem_banks=8 (may be repeated)"
_SCENARIO = (
    _argument("scenario", metavar="SCENARIO", help=f"scenario (.toml) or network (.onnx, .npz), {_NAMED}"),
    _repeated("--set", dest="overrides", metavar="KEY=VALUE", help=_SETTING),
)
_WINDOWS = "layer:NAME, pass:A..B, layer:NAME,pass:A..B or cycles:A..B"
_LEVELS = "pass (small; default), cycle (everything; default with a window or in fidelity cycle) or rtl (the circuit)"

TRACES = (
    _path("--wave", "--vcd", metavar="FILE", help="write a waveform, .vcd or .fst, and a layout for GTKWave"),
    _argument("--wave-level", dest="level", metavar="LEVEL", help=f"what the waveform shows: {_LEVELS}"),
    _argument("--trace-window", dest="window", metavar="WINDOW", help=f"which cycles the waveform shows: {_WINDOWS}"),
    _number("--wave-limit-mb", dest="limit_mb", help="end a waveform of every cycle at N megabytes (default: 256)"),
    _path("--timeline", metavar="FILE", help="write a trace for timeline viewers (Perfetto), .json or .json.gz"),
    _path("--dram-trace", dest="dram", metavar="FILE", help="write requests to off-chip memory, for a DRAM simulator"),
    _argument("--format", dest="dram_format", metavar="NAME", help="for dramsim3 (default) or ramulator2"),
    _argument("--dram-clock-mhz", type=float, metavar="MHZ", help="clock of dramsim3's times (default: the DRAM's)"),
    _number("--dram-burst-bytes", help="what a request there moves (default: a burst)"),
)
"""Options of ``tlm run`` that record a run; each is a key of the scenario's section [trace]."""

COMMANDS = {
    "run": Command(
        "run a scenario and compare its outputs with the golden model",
        (
            _argument("scenario", metavar="SCENARIO", help=f"scenario, network (.onnx, .npz) or script, {_NAMED}"),
            *_SCENARIO[1:],
            _path("--input", metavar="FILE", help="read this picture or array (.npy) instead"),
            _path("-o", "--output", metavar="DIR", help="write result.json and outputs.npz there"),
            _argument("--fidelity", metavar="NAME", help="model of the chip: pass (fast; default), cycle or rtl"),
            *TRACES,
            _switch("--json", "print result.json to stdout, and nothing else"),
            _switch("--no-check", "do not run the golden model; the result says so"),
            _number("--batch", least=1, help="run N images as one program: the input and more of its kind"),
        ),
    ),
    "eval": Command(
        "evaluate many inputs exactly, and simulate the timing once",
        (
            *_SCENARIO,
            _argument("--images", metavar="PATH", nargs="+", help="evaluate image files, or directories of them"),
            _path("--fashion-mnist", metavar="DIR", help="evaluate the test images of Fashion-MNIST there"),
            _number("--count", least=1, help="number of inputs (default: all images, or the scenario's one input)"),
            _number("--top", metavar="K", least=1, default=5, help="classes to show for each input (default: 5)"),
            _number(
                "--check", metavar="K", least=0, default=1, help="check the first K by the golden model (default: 1)"
            ),
            _path("-o", "--output", metavar="DIR", help="write eval.json and outputs.npz there"),
            *_formats("input"),
        ),
        "Evaluate many inputs exactly, and simulate the timing once. By default the inputs are the scenario's: seeds "
        "from input.seed on, variants of its image, or the images of its sample.",
    ),
    "sweep": Command(
        "run a scenario with many settings",
        (
            *_SCENARIO,
            _repeated("--over", metavar="KEY=VALUES", help="vary a key, e.g. chip.amem_banks=1,2,4 (may be repeated)"),
            _number("--sample", help="draw N points instead of running every combination"),
            _argument("--method", metavar="NAME", help="how to draw: lhs (Latin hypercube; default) or random"),
            _number("--seed", help="seed of the draws (default: 0)"),
            _repeated("--where", metavar="EXPRESSION", help="keep the points that meet it (may be repeated)"),
            _path("-o", "--output", metavar="DIR", help="directory of the results (default: SCENARIO.sweep)"),
            _PROCESSES,
            _argument("--dask", metavar="ADDRESS", help="use the workers of a Dask scheduler; 'local' starts some"),
            _switch("--retry-failed", "run failed points again"),
            _repeated("--export", type=Path, metavar="FILE", help="write the table, .csv or .parquet"),
            *_formats("point"),
        ),
        "Run every combination of the values, or a sample of them, on all cores or on a Dask cluster. Each result is "
        "stored in DIR/sweep.sqlite as its point ends. The same command, or `tlm sweep DIR`, continues an interrupted "
        "sweep. Values: 1,2,4,8 or 1..9 or pass,cycle. Expressions: 'chip.amem_banks * chip.amem_words <= 65536'.",
    ),
    "layers": Command(
        "run every layer of a SCALE-Sim topology file, each alone",
        (
            _path("table", metavar="TABLE", help="topology file (.csv) of convolutions, or of GEMMs (M, N, K)"),
            _repeated("--set", dest="overrides", metavar="KEY=VALUE", help=_CHIP_SETTING),
            Argument(("--density",), {"type": float, "metavar": "SHARE", "help": "keep this share of the weights"}),
            Argument(
                ("--word-density",),
                {"type": float, "metavar": "SHARE", "help": "keep this share of the weight words"},
            ),
            _number("--seed", least=0, help="seed of weights and inputs (default: 0)"),
            _PROCESSES,
            _path("-o", "--output", metavar="FILE", help="write a row for each layer there (.csv)"),
        ),
        "Run every layer of a topology file in the format of SCALE-Sim, each alone, with seeded weights and inputs, "
        "and compare its outputs with the golden model. docs/coming-from-scale-sim.md says what the columns mean.",
    ),
    "report": Command(
        "write one HTML file with figures and tables of runs or a sweep",
        (
            _path("path", metavar="PATH", help="directory of a run or a sweep, or its result.json or sweep.sqlite"),
            _path("others", metavar="RESULT", nargs="*", help="more runs, side by side on the same page"),
            _path(
                "-o",
                "--output",
                metavar="FILE",
                help="file to write, - for standard output (default: report.html beside the first results)",
            ),
        ),
        "Write one HTML file, which any browser shows without a network. Needs plotly: pip install "
        "'cartesian-tlm[explore]'",
    ),
    "wave": Command(
        "open a waveform in GTKWave or Surfer",
        (_path("path", metavar="PATH", help=".vcd, .fst or .gtkw file, or a directory with one"),),
    ),
    "plot": Command(
        "draw pictures of one result, or of several together",
        (
            _path("results", metavar="RESULT", nargs="+", help=_RESULT),
            _path("-o", "--output", metavar="DIR", default=Path(), help="write the pictures there (default: here)"),
            _argument("--format", choices=("png", "svg", "both"), default="png", help="file format (default: png)"),
            _repeated(
                "--only",
                choices=("network", "timeline", "causes", "roofline", "energy", "levels"),
                help="draw only this picture (may be repeated)",
            ),
        ),
        "Draw network, timeline, causes, roofline and energy of one result, or levels and causes of several. Needs "
        "matplotlib: pip install 'cartesian-tlm[plot]'",
    ),
    "explain": Command(
        "say what bounds a run, and simulate what changes would buy",
        (
            _path("result", metavar="RESULT", help=f"{_RESULT}; or a scenario or model, which is run first"),
            _path("--files", metavar="DIR", help="directory of the files that the scenario reads"),
            _switch("--no-runs", "explain only what the file says; simulate nothing"),
            _PROCESSES,
            *_formats("layer"),
            _WIDE,
        ),
    ),
    "compare": Command(
        "show results, or sweeps, side by side, with differences",
        (
            _path("a", metavar="A", help=f"{_RESULT}; or the directory of a sweep"),
            _path("others", metavar="B", nargs="+", help="the same; several may follow"),
            _switch("--all", "show what is equal, too"),
            *_formats("figure, or for each point of sweeps"),
        ),
    ),
    "reproduce": Command(
        "show every published figure beside the simulated one",
        (
            _path("-o", "--output", metavar="FILE", help="write the report there as Markdown instead of printing it"),
            _switch("--quick", "run only 9, 3 and 1 of 9 taps"),
            _PROCESSES,
            _switch("--wide", "on a terminal, print tables as tables, however wide"),
        ),
    ),
    "train": Command(
        "train and prune a network for the engine (needs torch)",
        (
            _argument("recipe", metavar="RECIPE", help="recipe file (.toml), or the name of one of the package's"),
            _path("-o", "--output", metavar="DIR", help="directory of checkpoints and networks (default: out/RECIPE)"),
            _switch("--resume", "continue an interrupted training"),
            _argument("--data", metavar="DIR", help="directory of the data set (default: the recipe's)"),
            _number("--seed", least=0, help="random seed (default: the recipe's)"),
            _repeated(
                "--stage", metavar="NAME", help="train only this stage and those that lead to it (may be repeated)"
            ),
        ),
        "Run the stages of a recipe: FP32 training, gradual pruning, INT4 training. Each INT4 stage writes a network "
        "that scenarios can name. Needs torch: pip install 'cartesian-tlm[train]'",
    ),
    "tradeoff": Command(
        "compare accuracy, cycles and energy of trained networks",
        (
            _argument("networks", metavar="NETWORK", nargs="*", help="name of a network of the package, or .npz file"),
            _argument("--voltage", metavar="V", type=float, default=1.1, help="core supply (default: 1.1)"),
            _path("-o", "--output", metavar="DIR", help="write tradeoff.json and tradeoff.png there"),
            *_formats("network"),
            _WIDE,
        ),
        "Simulate trained networks and show the accuracy that their cards give beside cycles, energy, TOPS/W and "
        "weights; by default of every level of model 2. Needs matplotlib for -o: pip install 'cartesian-tlm[plot]'",
    ),
    "import": Command(
        "read an ONNX network, or quantise a float one to 4 bits (needs onnx)",
        (
            _path("model", metavar="MODEL", help="ONNX file"),
            _path("-o", "--output", metavar="FILE", help="write the network there (.npz)"),
            _number("--check", least=0, help="compare N random inputs with onnxruntime (default: 8; 1 of --quantize)"),
            _switch("--accept-difference", "write the network even if it differs by more than rounding"),
            _switch("--quantize", "quantise a float or 8-bit network to 4 bits, without training"),
            _path("--calibrate", metavar="PATH", help="directory of pictures, .npy or .npz file (default: noise)"),
            _path("--labels", metavar="FILE", help="file of the samples' classes, a line each, for the accuracy"),
            _argument("--mean", metavar="R,G,B", help="take this away from pictures of 0..1 (default: 0,0,0)"),
            _argument("--std", metavar="R,G,B", help="divide pictures by this, then (default: 1,1,1)"),
            _argument(
                "--percentile",
                metavar="P",
                type=float,
                help="keep P %% of the activations in range (default: range of least squared error)",
            ),
            _switch("--no-equalization", "leave cross-layer equalisation out"),
            _switch("--no-bias-correction", "leave bias correction out"),
            _number("--taps", least=1, help="keep the N largest taps of each depth-wise kernel, without retraining"),
            _argument(
                "--word-density",
                metavar="SHARE",
                type=float,
                help="keep this share of other layers' weight words, without retraining",
            ),
        ),
        "Read an ONNX graph of QuantizeLinear and DequantizeLinear nodes (4-bit types, or 8-bit ones clipped to 4 "
        "bits) and compare it with onnxruntime. Only rounding may differ: each layer alone, fed with onnxruntime's "
        "own input of that layer, is at most one level off, and at least 95% of its values are equal. Otherwise the "
        "exit status is 1 and nothing is written. With --quantize, a float or 8-bit graph becomes one of 4 bits first "
        "(docs/import.md). Needs: pip install 'cartesian-tlm[onnx]'",
    ),
    "compile": Command(
        "show how a scenario is tiled and placed, and save the program",
        (
            *_SCENARIO,
            _path("-o", "--output", metavar="FILE", help="write the program (tlm.load_program)"),
            *_formats("group of layers that runs together"),
        ),
    ),
    "disasm": Command("print the instructions that a scenario compiles to", _SCENARIO),
    "show": Command("print all settings of a scenario, defaults included, with their labels", _SCENARIO),
    "rtl": Command(
        "write the engine's circuit as Verilog, or count its gates",
        (
            _argument(
                "scenario",
                metavar="SCENARIO",
                nargs="?",
                help=f"scenario file (.toml), {_NAMED}: its chip and a testbench (default: the default chip alone)",
            ),
            *_SCENARIO[1:],
            _path("-o", "--output", metavar="PATH", help="write to this directory (engine.v ..) or file (.v)"),
            _switch("--synth", "count gates, flip-flops and the longest path of each block, with Yosys"),
            _path("--liberty", metavar="FILE", help="standard cells for --synth (default: Debian's qflow-tech-osu018)"),
            _switch("--json", "print what --synth counts as JSON, and nothing else"),
        ),
        "Write the engine's circuit as Verilog-2005, its SRAM macros apart. With a scenario, also write a testbench "
        "that checks its run in any simulator. With --synth, map the circuit to standard cells and count them "
        "(docs/rtl.md). Needs: pip install 'cartesian-tlm[rtl]'",
    ),
    "list": Command("list the scenarios in ./scenarios and in the package", _formats("scenario")),
    "init": Command(
        "begin a project: a commented scenario and a first test",
        (_path("directory", metavar="NAME", help="directory to make; its name is the scenario's"),),
    ),
    "completion": Command(
        "print what makes a shell complete commands, options, scenarios and keys",
        (_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish"),),
        "Print what makes a shell complete commands, options, scenarios and keys. Let bash read it from ~/.bashrc: "
        '`eval "$(tlm completion bash)"`; zsh from ~/.zshrc, after compinit: `eval "$(tlm completion zsh)"`; fish '
        "from ~/.config/fish/config.fish: `tlm completion fish | source`.",
    ),
    "info": Command("print versions, the C kernels' SIMD, and waveform viewers"),
    "schema": Command("print the JSON Schema of scenario files, for editors"),
}
"""In the order of the help."""

_EPILOG = """exit status:
  0    done; for `run` and `eval`: every output that was compared equals the
       golden model's
  1    an output differs from the golden model's, or the simulation failed
  2    the input or the command line is wrong, or a file cannot be written
  130  interrupted (143: SIGTERM, 129: SIGHUP); no result was written, but a
       sweep keeps its finished points
"""


class _Parser(argparse.ArgumentParser):
    """One line on stderr where argparse prints the whole usage."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(USAGE, f"tlm: {one_line(message)}; see `{self.prog} --help`\n")


def parser(
    asked: str | None = None, completers: Mapping[str, Callable[..., list[str]]] | None = None
) -> argparse.ArgumentParser:
    """The parser of the command line; ``command`` of what it parses is None without a command.

    Args:
        asked: the command line's command; by default the parser knows them all, which takes ten times as long to make.
        completers: by an argument's key, for argcomplete.
    """
    top = _Parser(
        prog="tlm",
        description="Transaction-level co-simulator of a 4-bit sparse CNN engine with a\nCartesian-product MAC array.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name in COMMANDS if asked is None else (asked,):
        command = COMMANDS[name]
        description = command.details or f"{command.summary[0].upper()}{command.summary[1:]}."
        own = commands.add_parser(name, help=command.summary, description=description)
        traces = own.add_argument_group("traces (docs/waveforms.md)") if name == "run" else own
        for argument in command.arguments:
            action = (traces if argument in TRACES else own).add_argument(*argument.names, **argument.options)
            if completers and argument.key in completers:
                action.completer = completers[argument.key]  # type: ignore[attr-defined]  # argcomplete's way
    return top
