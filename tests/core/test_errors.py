"""Messages stay one readable line, whatever a value in them looks like."""

from __future__ import annotations

import pickle

import pytest

from tlm.core.errors import DeadlockError, InputError, one_line


def test_an_ordinary_message_is_kept() -> None:
    assert str(InputError("chip.lanes: 31 is not a power of two; allowed: 8 to 64")) == (
        "chip.lanes: 31 is not a power of two; allowed: 8 to 64"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("a\r\x1b[31mb\x07", r"a\r\x1b[31mb\x07"),
        ("\u2028\u202e\udc80", r"\u2028\u202e\udc80"),
        ("Gr\u00fc\u00dfe \u5c64", "Gr\u00fc\u00dfe \u5c64"),
    ],
)
def test_line_breaks_and_control_characters_are_escaped(text: str, shown: str) -> None:
    assert one_line(text) == shown
    assert str(InputError(text)) == shown


def test_a_long_value_leaves_place_and_remedy() -> None:
    message = str(InputError(f"network.layers[0].name: {'x' * 10_000_000} is too long; allowed: 64 characters"))
    assert len(message) < 2_000
    assert message.startswith("network.layers[0].name: xxx")
    assert message.endswith("xxx is too long; allowed: 64 characters")
    assert "[.. 99985" in message


def test_a_deadlock_keeps_its_lines_and_crosses_a_process() -> None:
    error = DeadlockError("deadlock in cycle 3\n  host.bus: \x1b waits")
    assert str(error) == "deadlock in cycle 3\n  host.bus: \\x1b waits"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
