"""The command file for Surfer says what GTKWave's layout says, in commands that Surfer documents."""

from __future__ import annotations

from pathlib import Path

import pytest
from layouts import read_layout
from waves import CHIP, Waves, small_network

import tlm
from tlm.traces.waves.gtkwave import View
from tlm.traces.waves.signal_kinds import start_ps
from tlm.traces.waves.surfer import command_file_text

DOCUMENTED = {"divider_add", "variable_add", "marker_set_at", "cursor_set", "zoom_to"}
"""Of docs/commands in Surfer's repository."""


@pytest.mark.parametrize("level", ["pass", "cycle"])
def test_rows_and_view_are_those_of_gtkwave(tmp_path: Path, level: str) -> None:
    dump = tmp_path / "run.vcd"
    network, activations = small_network()
    tlm.simulate(network, activations, CHIP, trace=tlm.TraceOptions(wave=dump, level=level))
    layout = read_layout(dump.with_suffix(".gtkw"))
    head, *lines = dump.with_suffix(".sucl").read_text().splitlines()
    assert head == "# surfer run.vcd --command-file run.sucl"
    commands = [line.split(" ", 1) for line in lines]
    assert {command for command, _ in commands} <= DOCUMENTED
    rows = [argument for command, argument in commands if command == "variable_add"]
    assert set(rows) <= Waves(dump).names
    open_rows = [line.signal.split("[")[0] for line in layout.lines if not line.hidden]
    assert [row for row in rows if row in open_rows] == sorted(open_rows, key=rows.index)
    assert set(open_rows) <= set(rows)
    marks = [argument.split(" ", 1) for command, argument in commands if command == "marker_set_at"]
    assert [int(at) for at, _ in marks] == list(layout.markers_ps)
    assert tuple(name for _, name in marks) == layout.marker_names
    (view,) = (argument.split() for command, argument in commands if command == "zoom_to")
    assert int(view[0]) == layout.start_ps < int(view[1])


def test_no_name_ends_a_command() -> None:
    """A hash begins a comment in a command file, and a semicolon ends a command."""
    text = command_file_text("run.vcd", [], View(0, 10, [(3, "a#b;c")], 3), 1000)
    assert f"marker_set_at {start_ps(3, 1000)} a_b_c\n" in text
