"""The labels that name the origin of a number, and their meanings (docs/chip.md, Labels)."""

from __future__ import annotations

from enum import Enum


class Label(Enum):
    """The origin of a number, printed after it. If several of the first four apply, the last of them counts."""

    PUBLISHED = "[P]"
    DERIVED = "[D]"
    SIMULATED = "[S]"
    ASSUMED = "[A]"
    MEASURED = "measured"
    CALIBRATED = "calibrated"
    AGREES = "agrees"
    PREDICTED = "predicted"

    @property
    def meaning(self) -> str:
        """The label's definition, in one sentence."""
        return _MEANINGS[self]


_MEANINGS = {
    Label.PUBLISHED: "published; where a simulated figure has this label, the simulator takes it over as a parameter",
    Label.DERIVED: "derived from published numbers by arithmetic alone; no assumption is in it",
    Label.SIMULATED: "simulated: follows from [P] and [A] by this project's model of the chip, by running it or by its "
    "formulas: steps, cycles, times, utilisation, traffic, outputs",
    Label.ASSUMED: "an assumption of this project, because the sources are silent, or a figure that an assumption "
    "prices: energy, power and TOPS/W are simulated counts times assumed energies of events, an estimate",
    Label.MEASURED: "counted on test images, or against another program; or taken with a clock on some machine",
    Label.CALIBRATED: "a parameter was fitted to the published figure, and this one follows from the fit, directly or "
    "by way of a nearly equal case: that it agrees proves nothing",
    Label.AGREES: "no parameter was fitted to it and it is consistent with the publication, but so would other "
    "assumptions be: it is no evidence",
    Label.PREDICTED: "follows from [P] and [A], and no parameter was fitted to this figure; a fit to another figure "
    "that reaches it is named beside it",
}

IN_RUNS = (Label.PUBLISHED, Label.SIMULATED, Label.ASSUMED)
"""Labels of the figures of a run."""

LEGEND = "[P] published  [S] simulated, all of the table  [A] assumed: docs/chip.md"
"""The last line of a run's tables."""
