"""A pytest plugin that puts another build of the kernels in the installed one's place (sanitized, mutated).

TLM_OTHER_KERNELS=build/sanitize/_kernels.abi3.so pytest -p other_kernels tests/chip/kernels/test_kernels_mac.py
"""

import importlib.util
import os
import sys
from pathlib import Path

path = Path(os.environ["TLM_OTHER_KERNELS"]).resolve(strict=True)
specification = importlib.util.spec_from_file_location("tlm._kernels", path)
assert specification is not None
assert specification.loader is not None
module = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)
sys.modules["tlm._kernels"] = module
