"""The command line as a user meets it: in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import SCENARIOS, files, refused, tlm
from examples import quick_of

import tlm as package
from tlm.cli import main as package_main
from tlm.cli.commands import COMMANDS, parser
from tlm.inputs.natural_order import natural_key
from tlm.results.result import tensor_sha256

# -- what it prints ---------------------------------------------------------------------------------------------


def test_version_imports_nothing_heavy(tmp_path: Path) -> None:
    done = tlm("--version", cwd=tmp_path)
    assert (done.stdout, done.returncode) == (f"tlm {package.__version__}\n", 0)
    code = "import sys; from tlm.cli import main; main(['--version']); print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = "numpy simpy rich msgspec cffi vcd PIL matplotlib scipy pandas plotly distributed"
    for module in heavy.split():
        assert f"'{module}'" not in loaded, module


def test_help_names_every_command_and_the_exit_status(tmp_path: Path) -> None:
    done = tlm("--help", cwd=tmp_path)
    assert done.returncode == 0
    for word in ("run", "list", "info", "disasm", "schema", "130  interrupted"):
        assert word in done.stdout
    assert tlm(cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_every_help_fits_80_columns(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        package_main([*command, "--help"])
    text = capsys.readouterr().out
    assert text.startswith(f"usage: {' '.join(['tlm', *command])} [-h]")
    assert max(map(len, text.splitlines())) <= 80
    assert "%%" not in text


def test_list_shows_scenarios_and_scripts() -> None:
    done = tlm("list", cwd=SCENARIOS.parent)
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line[0] != " ")
    assert lines["resnet18_conv3_2_3of9"] == "PW-DW-PW block conv3_2, 128x28x28, 3 of 9 taps"
    assert lines["which_sparsity_pays"].startswith("Which pruning pays")
    assert set(lines) >= {path.stem for path in SCENARIOS.iterdir() if path.suffix in (".toml", ".py")}
    assert list(lines) == sorted(lines, key=natural_key)


def test_list_prefers_the_current_directory(tmp_path: Path) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "mine.toml").write_text('description = "my own"')
    (tmp_path / "scenarios" / "broken.toml").write_text("x =")
    listed = tlm("list", cwd=tmp_path).stdout
    assert "mine    " in listed
    assert "my own" in listed
    assert "broken" in listed
    assert "unreadable: " in listed


def test_info_names_versions_kernels_and_viewers(tmp_path: Path) -> None:
    done = tlm("info", cwd=tmp_path)
    assert done.returncode == 0
    facts = dict(line.split("  ", 1) for line in done.stdout.splitlines())
    assert facts["cartesian-tlm"].strip() == package.__version__
    assert facts["numpy"].strip() == np.__version__
    assert facts["C kernels"].strip()
    assert facts["waveform viewers"].strip() == "none (gtkwave or surfer would do)" or "gtkwave" in done.stdout


def test_info_finds_a_viewer(tmp_path: Path) -> None:
    viewer = tmp_path / "surfer"
    viewer.write_text("#!/bin/sh\n")
    viewer.chmod(0o755)
    lines = tlm("info", PATH=str(tmp_path)).stdout.splitlines()
    assert "waveform viewers  surfer" in lines
    assert any(line.startswith("extra onnx        onnx ") for line in lines)


def test_schema_is_json() -> None:
    assert json.loads(tlm("schema").stdout)["title"] == "cartesian-tlm scenario"


def test_disasm_prints_the_program(small: Path) -> None:
    done = tlm("disasm", small)
    assert done.returncode == 0
    program = package.compile(*_built(small)).disassemble()
    assert done.stdout == program.rstrip("\n") + "\n"
    assert "c1" in done.stdout


def _built(path: Path) -> tuple[package.Network, package.ChipConfig]:
    from tlm.scenario.loading import load_scenario

    job = load_scenario(path).build()
    return job.network, job.chip


# -- run --------------------------------------------------------------------------------------------------------


def test_run_writes_what_simulate_returns(small: Path, tmp_path: Path) -> None:
    from tlm.scenario.loading import load_scenario

    done = tlm("run", small, "-o", "out/deep", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert files(tmp_path / "out" / "deep") == ["outputs.npz", "result.json"]
    record = json.loads((tmp_path / "out" / "deep" / "result.json").read_text())
    job = load_scenario(small).build()
    result = package.simulate(job.network, job.activations, chip=job.chip)
    assert record["scenario"] == "small"
    assert record["matches_reference"] is True
    assert record["cycles"] == result.cycles
    assert record["outputs_sha256"] == tensor_sha256(package.reference.run(job.network, job.activations)["c2"])
    assert [layer["compute_cycles"] for layer in record["layers"]] == [r.compute_cycles for r in result.layers.values()]
    assert str(tmp_path) not in json.dumps(record)
    with np.load(tmp_path / "out" / "deep" / "outputs.npz") as arrays:
        assert list(arrays) == ["c1", "c2"]
        assert np.array_equal(arrays["c2"], result.outputs)


def test_report_fits_80_columns_and_says_what_ran(small: Path) -> None:
    done = tlm("run", small, "--set", "chip.voltage_v=0.8")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "small: two small layers"
    assert lines[1] == "32x32 MACs [P], 0.8 V [P], 234 MHz [P], 4 AMem banks [A]; fidelity pass"
    record = json.loads(tlm("run", small, "--set", "chip.voltage_v=0.8", "--json").stdout)
    c1 = next(line.split() for line in lines if line.strip().startswith("c1 "))
    layer = record["layers"][0]
    assert c1[:5] == ["c1", "16x6x7", "4/9", f"{layer['steps']:,}", f"{layer['compute_cycles']:,}"]
    assert f"{record['predicted_cycles']:,} cycles when it was compiled" in done.stdout
    assert f"{record['cycles']:,} cycles = {record['time_us']:,.2f} us [S]" in done.stdout
    assert "golden model equal, bit for bit (2 tensors)" in done.stdout
    assert "[P] published" in lines[-2]
    assert lines[-1] == "nothing was written; -o DIR keeps result.json and outputs.npz"


def test_wide_and_narrow_terminals(small: Path) -> None:
    wide = tlm("run", small, COLUMNS="150").stdout
    assert all(word in wide for word in ("kind", "bands", "parts", "fused-depthwise", "3x3/1", "levels", "█"))
    narrow = tlm("run", small, COLUMNS="40").stdout
    assert "c1" in narrow
    assert "…" not in narrow


def test_runs_are_byte_identical(small: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        tlm("run", small, "-o", tmp_path / name, PYTHONHASHSEED=str(ord(name)))
    for name in ("result.json", "outputs.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_json_prints_the_file_and_nothing_else(small: Path, tmp_path: Path) -> None:
    done = tlm("run", small, "--json", "-o", tmp_path / "out")
    assert done.stdout == (tmp_path / "out" / "result.json").read_text()
    assert done.stderr == ""


def test_no_check_says_so(small: Path, tmp_path: Path) -> None:
    done = tlm("run", small, "--no-check", "-o", tmp_path / "out")
    assert done.returncode == 0
    assert "golden model not compared (--no-check)" in done.stdout
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (record["reference_checked"], record["matches_reference"]) == (False, None)


def test_a_difference_from_the_golden_model_fails(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tlm.cli import main

    honest = package.simulate

    def wrong(*arguments: Any, **keys: Any) -> package.Result:
        result = honest(*arguments, **keys)
        tensors = {name: array.copy() for name, array in result.tensors.items()}
        tensors["c2"][3, 2, 1] ^= 1
        return replace(result, tensors=tensors)

    monkeypatch.setattr(package, "simulate", wrong)
    assert main(["run", str(small), "-o", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert "golden model DIFFERS in c2" in printed.out
    assert printed.err == "tlm: small: the outputs of c2 differ from the golden model\n"
    assert json.loads((tmp_path / "out" / "result.json").read_text())["matches_reference"] is False


def test_scenario_by_name(tmp_path: Path) -> None:
    assert tlm("disasm", "resnet18_conv3_2_1of9", cwd=tmp_path).returncode == 0


def test_a_script_runs_both_ways(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("WORD = 'found'")
    script = tmp_path / "demo.py"
    script.write_text("import sys, helper\nprint(__name__, helper.WORD, len(sys.argv))\nsys.exit(3)")
    plain = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    command = tlm("run", script)
    assert (plain.stdout, plain.returncode) == ("__main__ found 1\n", 3)
    assert (command.stdout, command.returncode) == ("__main__ found 1\n", 3)


def python(*words: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, words)], input=stdin, capture_output=True, text=True, check=False)


def test_a_script_may_leave_files_to_the_end(tmp_path: Path) -> None:
    left = tmp_path / "left.txt"
    (tmp_path / "helper.py").write_text(f"file = open({str(left)!r}, 'w')\nprint('words', file=file)\n")
    script = tmp_path / "demo.py"
    script.write_text("import helper\n")
    assert python("-m", "tlm", "run", script).returncode == 0
    assert left.read_text() == "words\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("atexit.register(print, 'the end')", "tlm {}\nthe end\n"),
        ("threading.Thread(target=lambda: time.sleep(0.5) or print('the end')).start()", "tlm {}\nthe end\n"),
        ("sys.setprofile(lambda *_: None)", "tlm {}\nreturned 0\n"),
        ("sys.settrace(lambda *_: None)", "tlm {}\nreturned 0\n"),
        ("pass", "tlm {}\n"),
    ],
)
def test_the_process_ends_with_the_command_unless_others_have_work_left(before: str, after: str) -> None:
    code = f"""import atexit, sys, threading, time
{before}
sys.argv = ['tlm', '--version']
from tlm.__main__ import main
status = main()
if not threading.active_count() > 1: print('returned', status)
"""
    done = python("-c", code)
    assert (done.stdout, done.stderr, done.returncode) == (after.format(package.__version__), "", 0)


def test_python_shows_its_prompt_where_it_was_asked_for() -> None:
    done = python("-i", "-m", "tlm", "--version", stdin="print('asked')")
    assert done.stdout == f"tlm {package.__version__}\nasked\n"


def test_an_error_in_a_script_is_a_message(tmp_path: Path) -> None:
    script = tmp_path / "demo.py"
    script.write_text("import tlm\ntlm.ChipConfig(lanes=12)")
    assert refused("run", script) == "chip.lanes: 12 is not one of 8, 16, 32, 64"


# -- what it refuses --------------------------------------------------------------------------------------------


def test_usage() -> None:
    assert refused("swep") == "'swep' is not a command; did you mean sweep?, see `tlm --help`"
    assert refused("fly").startswith("'fly' is not a command; there are run, eval, ")
    assert refused("run", "--ouput", "x") == "--ouput: no such option; did you mean --output?, see `tlm run --help`"
    assert refused("list", "--zzz") == "--zzz: no such option; there are --help, --json, --csv, see `tlm list --help`"
    assert refused("run") == "the following arguments are required: SCENARIO; see `tlm run --help`"


def test_missing_file(tmp_path: Path) -> None:
    assert refused("run", "no.toml", cwd=tmp_path) == "no.toml: no such scenario; `tlm list` shows those that there are"
    near = "resnet18_conv3_2_4of9: no such scenario; did you mean resnet18_conv3_2_9of9?"
    assert refused("run", "resnet18_conv3_2_4of9", cwd=SCENARIOS.parent) == near


def test_malformed_and_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[chip\nlanes = 3")
    assert refused("run", "bad.toml", cwd=tmp_path).startswith("bad.toml:1: malformed TOML: ")
    (tmp_path / "binary.toml").write_bytes(b"\xff\x00")
    assert refused("run", "binary.toml", cwd=tmp_path).startswith("binary.toml: is not UTF-8 text (byte 0)")
    assert refused("run", ".", cwd=tmp_path) == ".: cannot be read (Is a directory)"


@pytest.mark.parametrize(
    "missing", quick_of([("amaranth",), ("pyosys",), ("amaranth", "pyosys")], ("amaranth", "pyosys"))
)
def test_without_the_packages_of_the_circuit(small: Path, missing: tuple[str, ...]) -> None:
    code = (
        "import sys, importlib.util; find = importlib.util.find_spec; importlib.util.find_spec = lambda name, *rest: "
        f"None if name in {missing!r} else object() if name in ('amaranth', 'pyosys') else find(name, *rest); "
        f"from tlm.cli import main; sys.exit(main(['run', {str(small)!r}, '--fidelity', 'rtl']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    names = " and ".join(missing)
    wanted = f"tlm: fidelity 'rtl' needs the Python packages {names}: python -m pip install 'cartesian-tlm[rtl]'\n"
    assert done.stderr == wanted


def test_options_blame_themselves(small: Path) -> None:
    cwd = small.parent
    assert refused("run", small, "--fidelity", "gate").startswith('--fidelity gate: fidelity: "gate" is not allowed')
    wanted = "--set chip.lanes=12: chip.lanes: 12 is not one of 8, 16, 32, 64"
    assert refused("run", small, "--set", "chip.lanes=12") == wanted
    assert refused("run", small, "-o", "small.toml", cwd=cwd) == "-o: small.toml is a file; give a directory"
    wanted = "-o: small.toml/x cannot be written (Not a directory); give another directory"
    assert refused("run", small, "-o", "small.toml/x", cwd=cwd) == wanted
    assert files(cwd) == ["small.toml"]


def test_a_script_takes_no_options(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("print(1)")
    wanted = "x.py: a Python script decides for itself; -o, --json applies to .toml scenarios only"
    assert refused("run", "x.py", "--json", "-o", "out", cwd=tmp_path) == wanted


def test_what_does_not_fit_is_refused_with_layer_and_remedy(small: Path) -> None:
    message = refused("run", "small.toml", "--set", "chip.amem_words=16", cwd=small.parent)
    assert message.startswith("small.toml: ")
    assert "AMem words" in message
    assert "enlarge the memory" in message


def test_an_accumulator_that_could_overflow(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"c.weights": np.full((8, 1400, 6, 10), 7, np.int8)})
    text = '[network]\nkind = "layers"\nweights = "w.npz"\n[[network.layers]]\nname = "c"\nout_channels = 8\n'
    text += "kernel = [6, 10]\npadding = [5, 9]\n[input]\nshape = [1400, 1, 1]"
    (tmp_path / "s.toml").write_text(text)
    message = refused("run", "s.toml", cwd=tmp_path)
    assert message.startswith("s.toml: layer 'c': a partial sum of output channel 0 can reach 8820000, ")


# -- interruptions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.05, 1.0])
def test_ctrl_c_leaves_nothing(tmp_path: Path, seconds: float) -> None:
    scenario = SCENARIOS / "resnet18_conv5_2_9of9.toml"
    command = [sys.executable, "-m", "tlm", "run", scenario, "-o", tmp_path / "out", "--fidelity", "cycle"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=answer_sigint,
    )
    wait_until_running(process, seconds)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "tlm: interrupted; no result was written\n")
    assert not (tmp_path / "out").exists() or files(tmp_path / "out") == []


def answer_sigint() -> None:
    """A shell's background job, as these tests may be, ignores Ctrl-C, and so would what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_until_running(process: "subprocess.Popen[str]", seconds: float) -> None:
    """Let it get as far as the command, where Python's own start-up no longer answers SIGINT, and then some."""
    maps = Path(f"/proc/{process.pid}/maps")
    limit = time.monotonic() + 30
    while maps.exists() and "msgspec" not in maps.read_text() and time.monotonic() < limit:
        time.sleep(0.01)
    time.sleep(seconds)


def test_a_reader_that_goes_away_is_no_crash() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "tlm", "schema"], stdout=write_end, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_parser_of_one_command_says_what_that_of_all_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for made in (parser(), parser(name)):
        with pytest.raises(SystemExit):
            made.parse_args([name, "--help"])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert texts[0].startswith(f"usage: tlm {name} ")
