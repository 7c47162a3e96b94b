"""The JSON Schema takes every file that the program takes, refuses wrong ones, and speaks to those who write them."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest
from command import REPOSITORY, SCENARIOS, tlm

from tlm.core.errors import InputError
from tlm.scenario.loading import load_scenario

SCHEMA = json.loads((SCENARIOS / "scenario.schema.json").read_text(encoding="utf-8"))
FENCE = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = {
    f"{page.name}:{number}": text
    for page in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")))
    for number, text in enumerate(FENCE.findall(page.read_text(encoding="utf-8")))
    if "[[stages]]" not in text and "Timing baseline" not in text  # a recipe of `tlm train`, a file of the test tool
}
GOOD = {
    "nothing": "",
    "kinds left out": "[network]\ntaps = 9\n[input]\nsigned = true",
    "the base's kind": 'extends = "resnet18_dense"\n[network]\ndensity = 0.5',
    "the base's file": 'extends = "photograph_conv1"\n[input]\nkind = "image"\nheight = 64\nwidth = 64',
    "pairs": '[network]\nkind = "layers"\n[[network.layers]]\nkernel = [3, 5]\npadding = [[1, 1], 2]',
    "whole numbers where fractions are": "[chip]\nvoltage_v = 1\n[energy]\nclock_pj = 5",
}
WRONG = {
    "unknown section": "[chips]",
    "unknown key": "[chip]\nbanks = 2",
    "unknown key of a section with kinds": "[network]\ntap = 3",
    "key of another kind": "[network]\ndensity = 0.5",
    "key of another kind that is given": '[network]\nkind = "layers"\ntaps = 3',
    "unknown kind": '[network]\nkind = "dense"',
    "unknown key where another file is extended": 'extends = "resnet18_dense"\n[network]\ntap = 3',
    "wrong type": '[chip]\namem_banks = "4"',
    "a truth for a number": "[chip]\namem_banks = true",
    "a fraction": "[network]\ntaps = 2.5",
    "not one of few": "[chip]\namem_banks = 3",
    "below": "[chip]\nvoltage_v = 0.5",
    "above": "[energy]\nclock_pj = 2e6",
    "seed below": "[input]\nseed = -1",
    "too many in a pair": '[network]\nkind = "layers"\n[[network.layers]]\nkernel = [3, 5, 7]',
    "name": '[network]\nkind = "layers"\n[[network.layers]]\nname = "a b"',
    "no file": '[input]\nkind = "npy"',
    "extends no text": "extends = 3",
}


def passes(text: str) -> bool:
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(tomllib.loads(text))


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_shipped_scenario_and_every_example_passes() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(SCENARIOS.glob("*.toml"))} | EXAMPLES
    assert {"resnet18_dense.toml", "scenarios.md:0", "exploration.md:0"} <= texts.keys()
    assert [name for name, text in texts.items() if not passes(text)] == []


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_what_the_program_takes_passes(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(text, encoding="utf-8")
    load_scenario(tmp_path / "s.toml")
    assert passes(text)


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_the_program_refuses_does_not_pass(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        load_scenario(tmp_path / "s.toml")
    assert not passes(text)


def test_descriptions_speak_to_those_who_write_files() -> None:
    """Meaning, unit, what is allowed, default and label; nothing of Python."""
    for name, definition in SCHEMA["$defs"].items():
        for key, node in definition["properties"].items():
            text = node["description"]
            assert not re.search(r"``|\bNone\b|Raises|Args|immutable", text), f"{name}.{key}: {text}"
            assert len(re.sub(r"\[[PDA]\]", "", text.split(" Allowed:")[0]).split()) > 1, f"{name}.{key}: {text}"
            limits = node.keys() & {"minimum", "enum", "maximum"}
            assert ("Allowed: " in text) >= bool(limits - ({"enum"} if key == "kind" else set())), f"{name}.{key}"
            if name in ("ChipConfig", "EnergyConfig") and "$ref" not in node:
                assert re.search(r" (\[[PDA]\]|\(calibrated\))\. Allowed: .*\.", text), f"{name}.{key}: {text}"
                default = json.dumps(node.get("default"))
                assert text.endswith(f" Default: {default}.") or "by default" in text, f"{name}.{key}"
        assert "Raises" not in definition.get("description", "")
    chip = SCHEMA["$defs"]["ChipConfig"]["properties"]
    assert chip["voltage_v"]["description"] == "Core supply, V [P]. Allowed: a number in 0.75..1.2. Default: 1.1."


# -- extends by name --------------------------------------------------------------------------------------------


def test_the_whole_example_runs_anywhere(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(EXAMPLES["scenarios.md:0"], encoding="utf-8")
    small = [f"--set=network.{key}" for key in ("channels=32", "height=8", "width=8")]
    done = tlm("run", "my.toml", *small, "--no-check", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["chip"]["voltage_v"], result["chip"]["amem_banks"]) == (0.8, 8)


def test_a_file_beside_comes_before_the_catalog(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('extends = "resnet18_conv3_2_9of9.toml"', encoding="utf-8")
    assert load_scenario(tmp_path / "s.toml").config.network.taps == 9  # type: ignore[union-attr]
    (tmp_path / "resnet18_conv3_2_9of9.toml").write_text("[network]\ntaps = 5", encoding="utf-8")
    assert load_scenario(tmp_path / "s.toml").config.network.taps == 5  # type: ignore[union-attr]


@pytest.mark.parametrize("base", ["no_such", "sub/resnet18_dense.toml", "x" * 400], ids=["name", "path", "long"])
def test_what_is_neither_is_refused(base: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(f'extends = "{base}"', encoding="utf-8")
    with pytest.raises(InputError, match=r"is named by extends in .*s\.toml"):
        load_scenario(tmp_path / "s.toml")


def test_columns_of_the_array_and_of_the_dram_are_told_apart() -> None:
    definitions = SCHEMA["$defs"]
    assert definitions["ChipConfig"]["properties"]["columns"]["enum"] == [8, 16, 32, 64]
    assert definitions["DramConfig"]["properties"]["columns"]["enum"] == [16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
