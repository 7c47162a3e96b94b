"""Limits of energy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from tlm.core.errors import InputError
from tlm.observe.energy_account import Energy
from tlm.testing.expectation import Expectation, Verdict
from tlm.testing.limits import limit
from tlm.testing.stretch import Stretch

_PJ = {"pj": 1.0, "nj": 1e3, "uj": 1e6}


class Powered(Stretch, ABC):
    """A stretch whose energy is known."""

    @property
    @abstractmethod
    def energy(self) -> Energy:
        """What it took [A]."""

    def energy_at_most(
        self,
        *,
        pj: float | None = None,
        nj: float | None = None,
        uj: float | None = None,
        off_chip: bool = False,
    ) -> Expectation:
        """The energy of the core [A], or of core and off-chip memory, is at most so much.

        Args:
            pj, nj, uj: the limit; give one.
            off_chip: count the off-chip memory, too.

        Raises:
            InputError: not exactly one limit, or one that is no number.
        """
        given = [(unit, value) for unit, value in (("pj", pj), ("nj", nj), ("uj", uj)) if value is not None]
        if len(given) != 1:
            units = " and ".join(unit for unit, _ in given) or "none"
            raise InputError(f"energy: give one of {', '.join(_PJ)}; here: {units}")
        unit, most = given[0]
        limit(unit, most)
        energy = self.energy
        spent_pj = energy.total_pj + (energy.off_chip_pj if off_chip else 0.0)
        spent, written = spent_pj / _PJ[unit], unit[0] + "J"
        where = "core and off-chip memory" if off_chip else "the core"
        claim = f"{self.name} takes {spent:,.3f} {written} in {where}, expected at most {most:,g} {written}"
        holds = spent <= most
        if not holds:
            claim += f": {100 * (spent - most) / most:,.1f} % too much" if most else ""
        return Expectation(self.run, Verdict(holds, claim, None, lambda: _explain(energy, off_chip, spent_pj)))


def _explain(energy: Energy, off_chip: bool, spent_pj: float) -> Iterator[str]:
    shares = energy.core.by_component_pj() | ({"off-chip memory": energy.off_chip_pj} if off_chip else {})
    yield "the largest shares:"
    for component, pj in sorted(shares.items(), key=lambda one: -one[1])[:5]:
        yield f"  {component:<16}{pj / 1e3:>14,.3f} nJ  {100 * pj / spent_pj:5.1f} %"
