"""Recordings of runs: each is made once, at fidelity "cycle", and kept while there is room."""

from __future__ import annotations

from collections import OrderedDict

from tlm.core.errors import InputError, SimulationError
from tlm.testing.recipe import Recipe
from tlm.testing.recording import Recording, TransactionRecorder


class Recordings:
    """Recordings by the key of their recipe.

    Args:
        limit: transactions that a recording may hold; all that are kept together hold twice as many at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[object, Recording] = OrderedDict()

    def of(self, recipe: Recipe, cycles: int) -> Recording:
        """The transactions of a run.

        Args:
            recipe: how to make it.
            cycles: that it took.

        Raises:
            InputError: there are more transactions than the limit.
            SimulationError: it took other cycles when it was recorded.
        """
        key = recipe.key
        if key not in self._kept:
            self._kept[key] = self._record(recipe, cycles)
            while len(self._kept) > 1 and sum(len(one.socket) for one in self._kept.values()) > 2 * self._limit:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _record(self, recipe: Recipe, cycles: int) -> Recording:
        recorder = TransactionRecorder(self._limit)
        again = recipe.simulate(fidelity="cycle", observers=[recorder])
        if again.cycles != cycles:
            raise SimulationError(
                f"trace: the run took {cycles} cycles, but {again.cycles} when it was recorded at fidelity 'cycle'; "
                "the models must agree, please report it"
            )
        recording = recorder.recording()
        if recording.cut_cycle is not None:
            raise InputError(
                f"trace: cycle {recording.cut_cycle:,} of {cycles:,} brings more than {self._limit:,} transactions, "
                "which are all that are recorded; test a smaller network, or raise --tlm-trace-limit"
            )
        return recording
