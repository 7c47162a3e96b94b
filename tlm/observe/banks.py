"""Who used which SRAM bank, from the engine's events in any fidelity."""

from __future__ import annotations

from collections import Counter
from operator import add

from tlm.chip.config import ChipConfig
from tlm.chip.contract import Accessed, EngineEvents, Port
from tlm.chip.format.descriptor import sram_banks
from tlm.chip.format.driver import SramName
from tlm.observe.account import SramAccount


class BankCounter:
    """Counts accesses per SRAM, initiator and bank.

    Args:
        config: banks of each SRAM.
        events: of the engine.
    """

    def __init__(self, config: ChipConfig, events: EngineEvents) -> None:
        self._config = config
        self._counts_wanted = events.counts_wanted
        self._served: dict[tuple[SramName, Port], list[int]] = {}
        """Accesses of each bank."""
        self._refused: Counter[tuple[SramName, Port]] = Counter()

    def count(self, access: Accessed) -> None:
        """Called with every event."""
        key, words = (access.sram, access.port), access.words
        if access.refused:
            self._refused[key] += access.refused
        if any(words):
            served = self._served.get(key)
            if served is None:
                self._served[key] = [*words]
            else:
                served[:] = map(add, served, words)

    def served(self) -> dict[tuple[SramName, Port], int]:
        """(SRAM, initiator) -> accesses that were served until now."""
        self._counts_wanted(None)
        return {key: sum(banks) for key, banks in self._served.items()}

    def of_port(self, port: Port) -> tuple[int, int]:
        """Accesses of an initiator that were served and refused, all SRAMs together."""
        served = sum(count for (_, own), count in self.served().items() if own is port)
        return served, sum(count for (_, own), count in self._refused.items() if own is port)

    def accounts(self, cycles: int) -> dict[str, SramAccount]:
        """SRAM ("amem", ...) -> its account over a run of so many cycles."""
        self._counts_wanted(None)
        return {sram.name.lower(): self._account(sram, cycles) for sram in SramName}

    def _account(self, sram: SramName, cycles: int) -> SramAccount:
        busy = {port.value: tuple(banks) for (name, port), banks in sorted(self._served.items()) if name is sram}
        refused = {port.value: count for (name, port), count in sorted(self._refused.items()) if name is sram}
        taken = [sum(banks) for banks in zip(*busy.values(), strict=True)] or [0] * sram_banks(sram, self._config)
        return SramAccount(busy=busy, idle=tuple(cycles - count for count in taken), refused=refused)
