"""The forms of a window, as text."""

from __future__ import annotations

import pytest

from tlm.core.errors import InputError
from tlm.traces.trace_window import TraceWindow


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("layer:a", TraceWindow(layer="a")),
        ("layer:a,b:c", TraceWindow(layer="a,b:c")),
        ("layer:a\nb", TraceWindow(layer="a\nb")),
        ("pass:3", TraceWindow(passes=(3, 3))),
        ("pass:3..14", TraceWindow(passes=(3, 14))),
        ("layer:a.b,pass:0..2", TraceWindow(layer="a.b", passes=(0, 2))),
        ("layer:a,pass:b,pass:1", TraceWindow(layer="a,pass:b", passes=(1, 1))),
        ("cycles:10..20", TraceWindow(cycles=(10, 20))),
    ],
)
def test_every_form(text: str, window: TraceWindow) -> None:
    assert TraceWindow.parse(text) == window


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        *((text, "is not of the form") for text in ("", "a", "layers:a", "pass:", "pass:1..", "cycles:-1", "pass:1,2")),
        *((text, "names no layer") for text in ("layer", "layer:", "layer:,pass:1")),
        ("layer:a,pass:4..3", "ends before it begins"),
    ],
)
def test_anything_else_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=rf"^trace\.window: .* {complaint}"):
        TraceWindow.parse(text)
