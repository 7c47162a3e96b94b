"""One exported design for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from rtl_chip import CHIP

from tlm.hardware.verilog import Design, design


@pytest.fixture(scope="session")
def exported() -> Design:
    return design(CHIP)


@pytest.fixture(scope="session")
def design_files(exported: Design, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    directory = tmp_path_factory.mktemp("design")
    paths = [directory / "engine.v", directory / "engine_srams.v"]
    for path, text in zip(paths, exported, strict=True):
        path.write_text(text)
    return paths
