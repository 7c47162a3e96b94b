"""``--where``: which points count, said as expressions over the scenario's keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tlm.core.errors import InputError

_REMEDY = "write a comparison of keys, e.g. chip.amem_banks * chip.amem_words <= 65536"


class Constraints:
    """Expressions that a point has to meet, evaluated without access to anything but the scenario's keys."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Read them.

        Raises:
            InputError: malformed, or simpleeval is missing.
        """
        self._parsed: list[tuple[str, Any]] = []
        if not texts:
            return
        try:
            import simpleeval
        except ImportError:
            raise InputError("--where: simpleeval is not installed: pip install 'cartesian-tlm[explore]'") from None
        for text in texts:
            try:
                self._parsed.append((text, simpleeval.SimpleEval.parse(text)))
            except (SyntaxError, simpleeval.InvalidExpression) as error:
                raise InputError(f"--where {text}: not an expression ({error}); {_REMEDY}") from None

    def hold(self, keys: Mapping[str, Any]) -> bool:
        """Whether all are met.

        Args:
            keys: the resolved scenario, tables in tables.

        Raises:
            InputError: an unknown key, values that cannot be compared, a result that is neither true nor false.
        """
        return all(self._holds(text, tree, keys) for text, tree in self._parsed)

    @staticmethod
    def _holds(text: str, tree: Any, keys: Mapping[str, Any]) -> bool:
        import simpleeval

        functions = {"min": min, "max": max, "abs": abs, "len": len}
        try:
            value = simpleeval.SimpleEval(names=dict(keys), functions=functions).eval(text, previously_parsed=tree)
        except Exception as error:  # whatever the expression does
            known = ", ".join(keys)
            raise InputError(f"--where {text}: {error} (sections: {known}); {_REMEDY}") from None
        if not isinstance(value, bool):
            raise InputError(f"--where {text}: gives {value!r}, neither true nor false; {_REMEDY}")
        return value
