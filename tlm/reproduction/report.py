"""The whole comparison as a document, from what was measured."""

from __future__ import annotations

from tlm.chip.operating_point import MAX_VOLTAGE_V, MIN_VOLTAGE_V
from tlm.core.labels import Label
from tlm.reproduction.capacity import nearest
from tlm.reproduction.document import Document, Section, Table, figure_table
from tlm.reproduction.figures import signed_percent
from tlm.reproduction.measure import ALL_TAPS, Measurements
from tlm.reproduction.published import CAPACITY_CHANGE, NOT_SIMULATED
from tlm.reproduction.sections_cycles import breakdown_section, counts_section, formula_section
from tlm.reproduction.sections_dense import (
    agreeing_figures,
    calibrated_figures,
    dense_section,
    parameters_section,
)
from tlm.reproduction.sections_sparse import energy_section, random_section, sparse_figures, sparse_section

TITLE = "Reproduction: published figures beside simulated ones"


def document(measured: Measurements) -> Document:
    """Everything that ``tlm reproduce`` prints.

    Raises:
        SimulationError: steps or cycles are not what they must be.
    """
    return Document(
        TITLE,
        (
            "`tlm reproduce` runs the simulator and puts every published figure (docs/chip.md) beside the simulated "
            "one; `tlm reproduce -o docs/reproduction.md` writes this page. Both fidelities give these numbers.",
            *(() if measured.extent.taps == ALL_TAPS else (_part(measured),)),
        ),
        (
            _labels(),
            _glance(measured),
            parameters_section(measured),
            dense_section(measured),
            sparse_section(measured),
            random_section(measured),
            energy_section(measured),
            counts_section(measured),
            breakdown_section(measured),
            formula_section(measured),
            _capacity(measured),
            _not_simulated(),
        ),
    )


def _part(measured: Measurements) -> str:
    levels = ", ".join(f"{taps}/9" for taps in measured.extent.taps)
    return f"This is a part of it: levels {levels}, pictures of {measured.extent.size} x {measured.extent.size} pixels."


def _labels() -> Section:
    rows = tuple((label.value, label.meaning) for label in Label)
    return Section("Labels", (Table("What a label says", ("label", "meaning"), rows, frozenset({0, 1})),))


def _glance(measured: Measurements) -> Section:
    return Section(
        "What is calibrated, what agrees, what is predicted",
        (
            figure_table("Calibrated: equal by construction, or nearly so", calibrated_figures(measured)),
            figure_table("Agrees: consistent with the publication, but no evidence", agreeing_figures(measured)),
            figure_table(
                "Predicted: nothing was fitted to these figures, but the power fit reaches them",
                sparse_figures(measured),
            ),
        ),
    )


def _capacity(measured: Measurements) -> Section:
    found = list(measured.capacity)
    best = nearest(found)
    rows = tuple(
        (
            one.name,
            f"{one.kept:,}",
            f"{one.base:,}",
            signed_percent(float(one.change), 2),
            f"{float(100 * one.change) - float(CAPACITY_CHANGE):+.2f}",
            " and ".join(
                [*(["nearest"] if one is best else []), *(["rounds to it"] if one.rounds_to_published else [])]
            ),
        )
        for one in found
    )
    table = Table(
        f"Against the base ResNet-18, published {CAPACITY_CHANGE} % [P]; counts and changes [D] (weights, taps or "
        "bits), words as compiled [S]",
        ("reading", "kept", "of", "change", "percentage points off", ""),
        rows,
        frozenset({0, 5}),
    )
    own = nearest([one for one in found if not one.name.startswith("bits")])
    exact = sum(one.rounds_to_published for one in found)
    return Section(
        "Weight capacity",
        (
            f'The poster says "weight capacity {CAPACITY_CHANGE} %" and not of what. Of {len(found)} readings [D] '
            f'{exact} round{"s" if exact == 1 else ""} to it. Nearest of all is "{best.name}" with '
            f'{signed_percent(float(best.change), 2)} [D]; nearest of those that count weights is "{own.name}" with '
            f"{signed_percent(float(own.change), 2)} [D]. So the phrase does not decide between fewer weights and "
            "fewer bits, and no figure here is fitted to it.",
            table,
        ),
    )


def _not_simulated() -> Section:
    rows = tuple(NOT_SIMULATED.items())
    return Section(
        "Published, but not simulated",
        (
            f"The core's supply range, {MIN_VOLTAGE_V:g} to {MAX_VOLTAGE_V:g} V [P], limits `voltage_v`.",
            Table("Published [P]", ("figure", "why nothing stands beside it"), rows, frozenset({0, 1})),
        ),
    )
