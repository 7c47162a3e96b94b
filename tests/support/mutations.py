"""Breaks one rule of time after the other in one of the two fidelities, and asks the suite to notice: `make mutations`.

    python tests/support/mutations.py            all mutations
    python tests/support/mutations.py WORD ..    those whose model, rule or file contains one of the words

Nothing in the checkout is changed: a mutated module is compiled from its changed text (mutated_source.py), mutated
kernels are built in a temporary directory (other_kernels.py). Two run side by side. Exit status 1 if a mutation
survives, if its text is not in the source any more, or if a rule has no mutation in one of its models.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import mutations_bands
import mutations_cycle
import mutations_dram
import mutations_pass
import mutations_rtl
import mutations_shared
from mutation_rules import MODELS, Mutation

ROOT = Path(__file__).resolve().parents[2]
MUTATIONS = (
    *mutations_cycle.MUTATIONS,
    *mutations_pass.MUTATIONS,
    *mutations_bands.MUTATIONS,
    *mutations_shared.MUTATIONS,
    *mutations_rtl.MUTATIONS,
    *mutations_dram.MUTATIONS,
)

# in the order in which they run: benches of a block, then whole chips
BENCHES = (
    *("aligner", "routing", "mac_array", "requantiser", "sequencer"),
    *("pass_aligner", "pass_dma", "pass_mac_array", "pass_requantiser", "pass_sequencer", "pass_sram"),
    *("pass_interconnect", "pass_off_chip_memory", "timing_rules", "timing_details"),
    *("host", "interconnect", "off_chip_memory", "dma", "sram"),
)
WHOLE_CHIPS = (
    *("dma_timing", "chip_timing", "kernels_timing", "kernels_bands", "kernels_occupancy", "kernels_dma", "bands"),
)
RTL_PROOFS = tuple(f"rtl_proofs_{block}" for block in ("sram", "aligner", "sequencer", "requantiser"))
SUITES = {
    "cycle": (*BENCHES, "fidelities", *WHOLE_CHIPS),
    "pass": (*BENCHES, "fidelities", *WHOLE_CHIPS),
    # blocks, proofs and Icarus first: Verilator takes half a minute for a whole circuit
    "rtl": ("rtl_header", "rtl_mac_array", *RTL_PROOFS, "testbench", "rtl_equality"),
    "dram": ("dram_memory", "dram_losses", "dram_dramsim3"),
    "shared": (*BENCHES, *WHOLE_CHIPS),  # both fidelities change alike: to compare them shows nothing
}
SIDE_BY_SIDE = 2
_FAILED = 1  # pytest's exit status; others are its own troubles


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the suite said."""

    killed: bool
    text: str


def problems() -> Iterator[str]:
    """Mutations that no longer fit the sources, rules without a mutation."""
    for one in MUTATIONS:
        count = len(places(one))
        if count != 1:
            yield f"{one.file}: {one.old!r} is there {count} times, but must be there once ({one.model}: {one.rule})"
        elif mutated_text(one) == (ROOT / one.file).read_text():
            yield f"{one.file}: {one.old!r} changes nothing ({one.model}: {one.rule})"
        elif one.file.endswith(".py"):
            try:
                compile(mutated_text(one), one.file, "exec")
            except SyntaxError as error:
                yield f"{one.file}: with {one.new!r} it is no Python: {error} ({one.model}: {one.rule})"
        if one.model not in MODELS.get(one.rule, ()):
            yield f"{one.model}: {one.rule!r} is no rule of that model in mutation_rules.py"
    covered = {(one.rule, one.model) for one in MUTATIONS}
    for rule, models in MODELS.items():
        for model in models:
            if (rule, model) not in covered:
                yield f"{model}: no mutation for {rule!r}; add one"


def lost_suites() -> Iterator[str]:
    """Suites without a file, or with several."""
    for suite in dict.fromkeys(suite for own in SUITES.values() for suite in own):
        count = len(files_of(suite))
        if count != 1:
            yield f"SUITES: test_{suite}.py is there {count} times, but must be there once"


class Kernels:
    """Builds kernels out of a copy of their sources."""

    def __init__(self, place: Path) -> None:
        self._source, self._build = place / "source", place / "build"
        self._source.mkdir()
        shutil.copy(ROOT / "CMakeLists.txt", self._source)
        shutil.copytree(ROOT / "kernels", self._source / "kernels")
        self._cmake("-S", str(self._source), "-B", str(self._build), f"-DPython_EXECUTABLE={sys.executable}")

    def build(self, mutation: Mutation | None, to: Path) -> Path:
        """Kernels with one mutation, or with none."""
        if mutation is None:
            self._cmake("--build", str(self._build))
        else:
            path = self._source / mutation.file
            original = path.read_text()
            path.write_text(mutated_text(mutation))
            try:
                self._cmake("--build", str(self._build))
            finally:
                path.write_text(original)
        shutil.copy(self._build / "_kernels.abi3.so", to)
        return to

    def _cmake(self, *arguments: str) -> None:
        done = subprocess.run([sys.executable, "-m", "cmake", *arguments], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"cmake {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")


def places(mutation: Mutation) -> list[re.Match[str]]:
    """Where the mutation fits its source: the same tokens, however they are spaced and wrapped."""
    tokens = re.findall(r"\w+|[^\w\s]", mutation.old)
    pattern = re.escape(tokens[0])
    for left, right in pairwise(tokens):
        both_words = left[-1:].isidentifier() and right[:1].isidentifier()
        pattern += (r"\s+" if both_words else r"\s*") + re.escape(right)
    return list(re.finditer(pattern, (ROOT / mutation.file).read_text()))


def mutated_text(mutation: Mutation) -> str:
    """The whole changed source; the new lines are indented as the source is where the old text ends."""
    (place,) = places(mutation)
    source = place.string
    here = _indentation(source[source.rfind("\n", 0, place.end()) + 1 :])
    old_lines = mutation.old.rstrip().split("\n")
    written = _indentation(old_lines[-1]) if len(old_lines) > 1 or mutation.old[0] == " " else here
    first, *others = mutation.new.strip().split("\n")
    moved = [" " * (here - written + _indentation(line)) + line.lstrip() for line in others]
    return source[: place.start()] + "\n".join([first, *moved]) + source[place.end() :]


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def environment(mutation: Mutation, place: Path, kernels: Kernels) -> dict[str, str]:
    """What the plugins need to know to put a mutation in place."""
    if mutation.file.endswith(".c"):
        return {"TLM_OTHER_KERNELS": str(kernels.build(mutation, place.with_suffix(".so")))}
    source = place.with_suffix(".py")
    source.write_text(mutated_text(mutation))
    module = mutation.file.removesuffix(".py").replace("/", ".")
    variables = {"TLM_MUTATED_MODULE": module, "TLM_MUTATED_SOURCE": str(source)}
    if mutation.model == "rtl":
        variables["XDG_CACHE_HOME"] = str(place)  # the cache knows circuits by the sources of the checkout
    return variables


def suites_of(mutation: Mutation) -> list[str]:
    """The suites of its model, the changed block's own first."""
    block = Path(mutation.file).stem
    return sorted(SUITES[mutation.model], key=lambda suite: not suite.endswith(block))


def files_of(suite: str) -> list[Path]:
    """The tests of that name."""
    return list((ROOT / "tests").rglob(f"test_{suite}.py"))


def run_suite(suites: Sequence[str], variables: dict[str, str], limit_s: float | None) -> Outcome:
    """Run the suites up to the first failure."""
    plugins = ["-p", "mutated_source", *(["-p", "other_kernels"] if "TLM_OTHER_KERNELS" in variables else [])]
    files = [str(path) for suite in suites for path in files_of(suite)]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "--tb=no", *plugins, "-p", "no:cacheprovider"]
    command += ["--tlm-vcd=never"]
    command += ["-m", "not slow", "-k", "not the_main_job", *files]
    paths = os.pathsep.join(filter(None, [str(ROOT / "tests" / "support"), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": paths, **variables}
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return Outcome(True, "no end")
    if done.returncode == 0:
        return Outcome(False, "SURVIVED")
    if done.returncode < 0:
        return Outcome(True, f"signal {-done.returncode}")
    failed = re.search(r"^FAILED tests/(\S+)", done.stdout, re.MULTILINE)
    if done.returncode != _FAILED or failed is None:
        raise SystemExit(f"the suite did not run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return Outcome(True, failed[1])


def main(words: Sequence[str]) -> int:
    """Run the mutations; returns the exit status."""
    found = [*problems(), *lost_suites()]
    for problem in found:
        print(problem)
    chosen = [
        one
        for one in MUTATIONS
        if not words or any(word in text for word in words for text in (one.model, one.rule, one.file))
    ]
    if found or not chosen:
        return 1
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        kernels = Kernels(place)
        begin = time.monotonic()
        suites = dict.fromkeys(suite for one in chosen for suite in SUITES[one.model])
        control = run_suite([*suites], {"TLM_OTHER_KERNELS": str(kernels.build(None, place / "none.so"))}, None)
        if control.killed:
            print(f"without any mutation {control.text} fails; mend that first")
            return 1
        limit_s = 30 + 2 * SIDE_BY_SIDE * (time.monotonic() - begin)
        variables = [environment(one, place / f"mutation_{i}", kernels) for i, one in enumerate(chosen)]
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            outcomes = pool.map(lambda one, with_: run_suite(suites_of(one), with_, limit_s), chosen, variables)
            survived = [one for one, outcome in zip(chosen, outcomes, strict=True) if not report(one, outcome)]
    print(f"{len(chosen)} mutations, {len(chosen) - len(survived)} killed, {len(survived)} survived")
    return 1 if survived else 0


def report(mutation: Mutation, outcome: Outcome) -> bool:
    """Print a line; returns whether the mutation was killed."""
    print(f"{mutation.model:6} {mutation.rule}\n       {mutation.file}: {outcome.text}", flush=True)
    return outcome.killed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
