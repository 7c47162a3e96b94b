"""A run to compare with: the same on a chip for which the expectation would be met.

A run says what happened, but not what should have happened. If the chip differs from the default one, the run is made
again with each change taken back, and with all of them taken back. The first that meets the expectation is the
reference: the changes that it lacks are the reason, and its transactions show where the two runs part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tlm.chip.config import ChipConfig
from tlm.testing.causes import changed_wait
from tlm.testing.cycles import Bounds
from tlm.testing.expectation import indented
from tlm.testing.parting import parting_lines
from tlm.testing.recipe import changed_text, chip_changes
from tlm.testing.subject import Piece, Subject

_MOST_CHANGES = 8
_MOST_CYCLES = 3_000_000
"""Longer runs are not repeated."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A run that meets the expectation, and the changes of the chip that it does without."""

    run: Subject
    without: dict[str, Any]


def reference_lines(stretch: Piece, bounds: Bounds) -> Iterator[str]:
    """What the run parts from, if a reference is found."""
    run, changes = stretch.run, chip_changes(stretch.run.result.chip)
    if not changes:
        return
    yield f"this chip is not the default one: {changed_text(changes)}"
    found = _find(run, changes, lambda other: not bounds.excess(int(stretch.counterpart(other).cycles)))
    if found is None:
        yield "taking back these changes, each or all, does not give what is expected"
        return
    other = stretch.counterpart(found.run)
    defaults = ChipConfig()
    keys = ", ".join(f"{key} = {getattr(defaults, key)}" for key in found.without)
    yield f"with {keys} {stretch.name} takes {int(other.cycles):,} cycles, as expected; in comparison with that run:"
    yield from indented(difference_lines(stretch, other))


def difference_lines(stretch: Piece, other: Piece) -> Iterator[str]:
    """The causes whose cycles differ, and the first transaction that does.

    Args:
        stretch: of this run.
        other: the same of the reference.
    """
    own, theirs = stretch.account(), other.account()
    for cause, cycles in own.items():
        if cycles != theirs[cause]:
            yield changed_wait(cause, theirs[cause], cycles)
    yield from parting_lines(stretch, other)


def _find(run: Subject, changes: dict[str, Any], meets: Callable[[Subject], bool]) -> Reference | None:
    if len(changes) > _MOST_CHANGES or run.result.cycles > _MOST_CYCLES:
        return None
    singles: list[dict[str, Any]] = [{key: value} for key, value in changes.items()]
    for without in (*singles, *([changes] if len(changes) > 1 else [])):
        other = run.on({key: value for key, value in changes.items() if key not in without})
        if other is not None and meets(other):
            return Reference(other, without)
    return None
