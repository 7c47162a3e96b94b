"""A pytest plugin for `make mutations`: one module of tlm is compiled from a changed source text.

TLM_MUTATED_MODULE=tlm.chip.cycle.requantiser TLM_MUTATED_SOURCE=FILE pytest -p mutated_source tests/chip

FILE stands in for the module's source and the checkout stays untouched. A failing example is not shrunk: one is enough.
"""

import os
import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

from hypothesis import Phase, settings


class MutatedLoader(InspectLoader):
    """Compiles the changed text; unlike a file's loader it neither reads nor writes cached bytecode."""

    def __init__(self, source: Path) -> None:
        self._source = source

    def get_source(self, fullname: str) -> str:
        return self._source.read_text()


class MutatedFinder(MetaPathFinder):
    """Finds one module."""

    def __init__(self, module: str, source: Path) -> None:
        self._module = module
        self._source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        return spec_from_loader(fullname, MutatedLoader(self._source), origin=str(self._source), is_package=False)


if "TLM_MUTATED_MODULE" in os.environ:
    # in front of all others: an editable install has a finder of its own
    sys.meta_path.insert(0, MutatedFinder(os.environ["TLM_MUTATED_MODULE"], Path(os.environ["TLM_MUTATED_SOURCE"])))

# the profile of conftest.py inherits from the one that is loaded when it is registered
settings.register_profile("without shrinking", phases=(Phase.explicit, Phase.generate))
settings.load_profile("without shrinking")
