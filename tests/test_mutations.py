"""The tool that breaks rules of time (`make mutations`); that its list fits the sources is its own first check."""

from dataclasses import fields
from pathlib import Path

import mutations
import pytest
from mutation_rules import MODELS, Mutation

from tlm.chip.config import ChipConfig

SOURCE = """\
class Block:
    def work(self):
        for _ in range(2):
            yield self.clock.cycles(
                1,
            )
            self.busy = False
"""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mutations, "ROOT", tmp_path)
    (tmp_path / "block.py").write_text(SOURCE)
    return tmp_path


def mutation(old: str, new: str, rule: str = "mask_cycles") -> Mutation:
    return Mutation(rule, "pass", "block.py", old, new)


def test_a_text_is_found_however_it_is_spaced_and_wrapped(sources: Path) -> None:
    wrapped = mutation(
        "yield self.clock.cycles(1,)\nself.busy = False", "yield self.clock.cycles(2)\nself.busy = False"
    )
    changed = mutations.mutated_text(wrapped)
    assert changed.endswith("            yield self.clock.cycles(2)\n            self.busy = False\n")
    compile(changed, "block.py", "exec")


def test_words_are_kept_apart(sources: Path) -> None:
    assert len(mutations.places(mutation("yield self", ""))) == 1
    assert mutations.places(mutation("yieldself", "")) == []


def test_what_does_not_fit_is_reported(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = (
        mutation("a text that is nowhere", ""),
        mutation("self.busy = False", "self.busy  = False )"),
        mutation("self.busy = False", "self.busy = False"),
        mutation("self.busy = False", "self.busy = True", rule="no such rule"),
    )
    monkeypatch.setattr(mutations, "MUTATIONS", listed)
    found = list(mutations.problems())
    for part in ("is there 0 times", "it is no Python", "changes nothing", "'no such rule' is no rule of that model"):
        assert sum(part in problem for problem in found) == 1
    assert "cycle: no mutation for 'mask_cycles'; add one" in found
    assert "pass: no mutation for 'mask_cycles'; add one" not in found


def test_every_mutation_fits_the_sources() -> None:
    assert list(mutations.problems()) == []


def test_every_suite_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(mutations.lost_suites()) == []
    monkeypatch.setitem(mutations.SUITES, "pass", ("aligner", "no_such_test"))
    assert list(mutations.lost_suites()) == ["SUITES: test_no_such_test.py is there 0 times, but must be there once"]


def test_every_rule_has_a_mutation_in_each_model_that_states_it() -> None:
    expected = {(rule, model) for rule, models in MODELS.items() for model in models}
    assert {(one.rule, one.model) for one in mutations.MUTATIONS} == expected
    assert len({(one.file, one.old, one.new) for one in mutations.MUTATIONS}) == len(mutations.MUTATIONS)


def test_every_duration_of_the_chip_is_in_a_rule() -> None:
    durations = [item.name for item in fields(ChipConfig) if item.name.endswith(("_cycles", "_ns"))]
    assert len(durations) > 6
    assert [key for key in durations if not any(key in rule for rule in MODELS)] == []
