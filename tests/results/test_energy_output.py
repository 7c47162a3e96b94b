"""Energy as a user meets it: overrides of the table, result.json, the report, the page."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from command import REPOSITORY, SMALL, refused, tlm
from energy_cases import kernel_layer, steady_state
from msgspec import structs

from tlm.chip.config import ChipConfig
from tlm.core.errors import InputError
from tlm.observe.energy_account import EnergyAccount
from tlm.observe.energy_table import ENTRIES, OFF_CHIP, EnergyConfig, EnergyEntry, normalisation
from tlm.results.result_json import result_record

TABLE = EnergyConfig()
COMPONENTS = list(EnergyAccount.__struct_fields__)


# -- overrides ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.component != OFF_CHIP], ids=lambda one: one.key)
def test_an_override_changes_its_component_alone_and_renormalises_nothing(entry: EnergyEntry) -> None:
    plain = kernel_layer()
    changed = replace(TABLE, **{entry.key: 2 * getattr(TABLE, entry.key)})
    before, after = structs.asdict(plain.energy.core), structs.asdict(kernel_layer(energy=changed).energy.core)
    assert [name for name in before if after[name] != before[name]] == [entry.component]
    assert after[entry.component] > before[entry.component]
    assert {key for key, label in changed.labels().items() if label == "chosen"} == {entry.key}


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 1e7, True, "38"])
def test_a_bad_value_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"^energy\.amem_read_pj: .*0\.\.1e\+06$"):
        EnergyConfig(amem_read_pj=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("energy.amem_read_pj=-1", "--set energy.amem_read_pj=-1: energy.amem_read_pj: -1.0 is outside 0..1e+06"),
        (
            "energy.amem_reed_pj=1",
            "--set energy.amem_reed_pj=1: energy.amem_reed_pj: unknown key; did you mean amem_read_pj?",
        ),
        (
            "energy.clock_pj=much",
            '--set energy.clock_pj=much: energy.clock_pj: "much" is not allowed; give a number in 0..1e+06',
        ),
        ("energy=3", "--set energy=3: energy: 3 is not a table; write [energy]"),
    ],
)
def test_the_command_refuses_a_bad_override(tmp_path: Path, override: str, wanted: str) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    assert refused("run", "small.toml", "--set", override, cwd=tmp_path) == wanted


def test_a_scenario_overrides_the_table(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(f"{SMALL}\n[energy]\nclock_pj = 100\n")
    done = tlm("run", "small.toml", "--json", "--set", "energy.amem_read_pj=0", cwd=tmp_path)
    energy = json.loads(done.stdout)["energy"]
    assert (energy["table"]["clock_pj"], energy["table"]["amem_read_pj"]) == (100.0, 0.0)
    assert {key for key, label in energy["table_labels"].items() if label == "chosen"} == {"clock_pj", "amem_read_pj"}


# -- what is written and printed ------------------------------------------------------------------------------------


def test_result_json_has_energy_and_the_page_explains_it() -> None:
    result = kernel_layer()
    record = result_record(result)
    energy, layer = record["energy"], record["layers"][0]["energy"]
    page = (REPOSITORY / "docs" / "result.md").read_text()
    assert not [key for key in {**energy, **layer} if f"`{key}`" not in page]
    assert list(energy["components_pj"]) == COMPONENTS
    assert sum(round(1e6 * pj) for pj in energy["components_pj"].values()) == round(1e6 * energy["total_pj"])
    parts = [energy[f"{name}_pj"] for name in ("compute", "waits", "transfers")]
    assert sum(round(1e6 * pj) for pj in parts) == round(1e6 * energy["total_pj"])
    assert energy["power_mw"] == pytest.approx(energy["total_pj"] / record["time_us"] / 1000)
    assert energy["tops_per_w"] == result.tops_per_w == pytest.approx(2 * record["macs"] / energy["total_pj"])
    of_layers = sum(one["energy"]["total_pj"] for one in record["layers"])
    assert of_layers + energy["outside_layers_pj"] == pytest.approx(energy["total_pj"])


def test_the_report_has_energy(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    lines = tlm("run", "small.toml", cwd=tmp_path).stdout.splitlines()
    shown = [line for line in lines if line.rstrip().endswith("[A]")]
    assert [line.split()[0] for line in shown] == ["energy", "of", "TOPS/W"]
    assert "dense-equivalent" in shown[-1]


def test_the_page_has_the_steady_state() -> None:
    page = " ".join((REPOSITORY / "docs" / "energy.md").read_text().split())
    for volts in (0.75, 0.8, 0.9, 1.0, 1.1, 1.2):
        found, mhz = steady_state(volts), ChipConfig.at(volts).frequency_mhz
        row = rf"\| {volts}( \[P\])? \| {mhz:.1f} \[[PA]\] \| {found.power_mw:.1f} \| {found.tops_per_w:.2f} \|"
        assert re.search(rf"{row} {found.shares['leakage']:.1%}".replace("%", " %"), page), row
    shares = steady_state(1.1).shares
    for name, text in {"mac_array": "MAC array", "clock": "clock", "amem": "AMem", "wmem": "WMem"}.items():
        assert re.search(rf"{text} (takes )?{100 * shares[name]:.1f} %", page), name
    assert f"add up to {100 / float(normalisation()):.0f} % of" in page
    assert f"= {float(normalisation()):.3f}" in page


def test_the_page_has_every_entry_with_its_default_and_its_source() -> None:
    page = (REPOSITORY / "docs" / "energy.md").read_text()
    assert {entry.key for entry in ENTRIES} == {item.name for item in fields(EnergyConfig)}
    for entry in ENTRIES:
        value = f"{getattr(TABLE, entry.key):.4g} {entry.label.value}"
        row = f"| `{entry.key}` | {value} | {entry.component} | {entry.event} | {entry.source} |"
        assert row in page, f"docs/energy.md lacks: {row}"
