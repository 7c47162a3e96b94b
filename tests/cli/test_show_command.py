"""`tlm show`: a scenario with all that it does not say itself."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from command import SMALL, refused, tlm


@pytest.mark.parametrize(
    "name",
    [
        *("resnet18_conv3_2_3of9", "photograph_conv1", "standard_3x3_64", "model2_3of9"),
        pytest.param("resnet18_3of9", marks=pytest.mark.slow),
    ],
)
def test_what_is_shown_is_the_same_scenario(name: str, tmp_path: Path) -> None:
    shown = tlm("show", name, cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    (tmp_path / "shown.toml").write_text(shown.stdout)
    assert tlm("show", "shown.toml", cwd=tmp_path).stdout == shown.stdout
    plan, again = (tlm("compile", one, cwd=tmp_path).stdout for one in (name, "shown.toml"))
    assert plan.replace(name, "shown") == again


def test_settings_and_labels(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    text = tlm("show", "small.toml", "--set", "chip.amem_banks=8", "--set", "network.layers[1].kernel=3", cwd=tmp_path)
    values = tomllib.loads(text.stdout)
    assert values["chip"]["amem_banks"] == 8
    assert [layer["kernel"] for layer in values["network"]["layers"]] == [3, 3]
    labels = {line.split(" = ")[0]: line.split("# ")[1] for line in text.stdout.splitlines() if "# " in line}
    assert (labels["amem_banks"], labels["imem_banks"], labels["lanes"]) == ("chosen", "assumed", "published")
    assert labels["leakage_ma"] == "calibrated"
    assert str(tmp_path) not in text.stdout


def test_no_such_scenario(tmp_path: Path) -> None:
    assert refused("show", "resnet18_3of8", cwd=tmp_path).startswith("resnet18_3of8: no such scenario; did you mean")
