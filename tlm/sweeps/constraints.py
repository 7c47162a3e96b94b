"""``--where``: which points count, said as expressions over the scenario's keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tlm.core.errors import InputError

_REMEDY = "write a comparison of keys, e.g. chip.amem_banks * chip.amem_words <= 65536"
_FUNCTIONS = {"min": min, "max": max, "abs": abs, "len": len}


def constraint(texts: Sequence[str]) -> Callable[[Mapping[str, Any]], bool]:
    """Tells whether a resolved scenario, tables in tables, meets all expressions; they see nothing but its keys.

    Raises:
        InputError: malformed, or simpleeval is missing; when it is called an unknown key, values that cannot be
            compared, a result that is neither true nor false.
    """
    if not texts:
        return lambda keys: True
    try:
        import simpleeval
    except ImportError:
        raise InputError("--where: simpleeval is not installed: pip install 'cartesian-tlm[explore]'") from None
    parsed = {}
    for text in texts:
        try:
            parsed[text] = simpleeval.SimpleEval.parse(text)
        except (SyntaxError, simpleeval.InvalidExpression) as error:
            raise InputError(f"--where {text}: not an expression ({error}); {_REMEDY}") from None

    def holds(text: str, keys: Mapping[str, Any]) -> bool:
        evaluator = simpleeval.SimpleEval(names=dict(keys), functions=_FUNCTIONS)
        try:
            value = evaluator.eval(text, previously_parsed=parsed[text])
        except Exception as error:  # whatever the expression does
            raise InputError(f"--where {text}: {error} (sections: {', '.join(keys)}); {_REMEDY}") from None
        if not isinstance(value, bool):
            raise InputError(f"--where {text}: gives {value!r}, neither true nor false; {_REMEDY}")
        return value

    return lambda keys: all(holds(text, keys) for text in parsed)
