"""The list of mutations fits the sources (`make mutations` runs them).

Slow, since it depends on the sources' exact text: whoever reformats a file need not know it for `make test`.
"""

from dataclasses import fields

import mutations
import pytest
from mutation_rules import MODELS, Mutation

from tlm.chip.config import ChipConfig

pytestmark = pytest.mark.slow


def test_every_mutation_is_found_once_and_every_rule_has_one_in_each_model() -> None:
    assert list(mutations.problems()) == []


def test_mutations_are_distinct_and_change_something() -> None:
    assert all(one.old != one.new for one in mutations.MUTATIONS)
    assert len({(one.file, one.old, one.new) for one in mutations.MUTATIONS}) == len(mutations.MUTATIONS)


@pytest.mark.parametrize("mutation", [one for one in mutations.MUTATIONS if one.file.endswith(".py")], ids=str)
def test_mutated_modules_compile(mutation: Mutation) -> None:
    compile(mutations.mutated_text(mutation), mutation.file, "exec")


def test_every_duration_of_the_chip_is_in_a_rule() -> None:
    durations = [item.name for item in fields(ChipConfig) if item.name.endswith(("_cycles", "_ns"))]
    assert len(durations) > 6
    assert [key for key in durations if not any(key in rule for rule in MODELS)] == []


def test_a_text_that_is_gone_and_a_rule_without_mutation_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = next(iter(MODELS))
    left = tuple(one for one in mutations.MUTATIONS if (one.rule, one.model) != (rule, "cycle"))
    gone = Mutation(rule, "pass", "tlm/chip/config.py", "a text that is nowhere", "")
    monkeypatch.setattr(mutations, "MUTATIONS", (*left, gone))
    found = list(mutations.problems())
    assert any("is there 0 times" in problem for problem in found)
    assert any(f"no mutation for {rule!r}" in problem for problem in found)
