"""Proofs about blocks of the circuit: Amaranth, Yosys' write_smt2, z3.

A design is unrolled for some cycles, from reset or from any state at all. A claim from any state holds in every run, so
it needs no induction. Specifications are z3 terms over ports, written in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import z3
from amaranth.back import rtlil
from amaranth.hdl import Value
from amaranth.lib.wiring import Out
from mutations import mutated_text
from mutations_rtl import MUTATIONS

from tlm.chip.rtl.build import yosys

_PASSES = (
    "read_rtlil top.il", "read_verilog macros.v", "prep -top top -flatten", "memory_map", "opt", "async2sync",
    "dffunmap", "write_smt2 -stbv top.smt2",
)  # fmt: skip
_TIMES = """\
(declare-fun product{0} ((_ BitVec {0}) (_ BitVec {0})) (_ BitVec {0}))
(define-fun times{0} ((a (_ BitVec {0})) (b (_ BitVec {0}))) (_ BitVec {0})
  (ite (= b (_ bv0 {0})) (_ bv0 {0}) (product{0} a b)))
"""
EXACT_PRODUCT_BITS = 16
_LIMIT_MS = 240_000


def _multiplier(found: re.Match[str]) -> str:
    return f"{found[1]} (times{found[2]} " if int(found[2]) > EXACT_PRODUCT_BITS else found[0]


def _state(name: str, model: str, *, whole: bool) -> str:
    """One bit vector of all registers and inputs, or put together of one for each.

    With one for each, z3 leaves out those that a claim does not depend on, such as the other lanes. In a long run from
    reset, where every claim depends on nearly all of them, it would only take longer.
    """
    if whole:
        return f"(declare-fun |{name}| () |top_s|)"
    found = re.findall(r"\(\(_ extract (\d+) (\d+)\) state\)", model)
    pieces = sorted({(int(low), int(high) - int(low) + 1) for high, low in found}, reverse=True)
    lines = [f"(declare-fun |{name}_{low}| () (_ BitVec {width}))" for low, width in pieces]
    state = " ".join(f"|{name}_{low}|" for low, _ in pieces)
    return "\n".join([*lines, f"(define-fun |{name}| () |top_s| (concat {state}))"])


class Unrolled:
    """A design in ``cycles`` cycles, one after the other: ``unrolled(name, cycle)`` is a port or a register there.

    What the circuit reads of ``header`` is an input, too: ``header__shape`` and the like. One bit is a truth value,
    more a bit vector. Without ``reset`` the registers are anything in cycle 0; inputs are anything in every cycle.

    A multiplier of more than EXACT_PRODUCT_BITS is an unknown function with f(a, 0) = 0, the same as in
    :func:`product`: what holds for every function holds for this one, and z3 cannot compare wide multipliers.
    ``macros`` is Verilog of modules that the circuit only names.
    """

    def __init__(
        self, circuit: Any, cycles: int, names: Sequence[str], *, header: Any = None, reset: bool = False,
        macros: str = "",
    ) -> None:  # fmt: skip
        with TemporaryDirectory() as work:
            folder = Path(work)
            (folder / "top.il").write_text(rtlil.convert(circuit, "top", ports=ports(circuit, header), emit_src=False))
            (folder / "macros.v").write_text(macros)
            yosys(folder, *_PASSES)
            model = (folder / "top.smt2").read_text()
        model = re.sub(r"(\(_ BitVec (\d\d)\)) \(bvmul ", _multiplier, model)
        widths = set(re.findall(r"\(times(\d+) ", model))
        model = "".join(_TIMES.format(width) for width in sorted(widths)) + model
        sorts = dict(re.findall(r"\(define-fun \|top_n (\S+)\| \(\(state \|top_s\|\)\) (.*?) \(", model))
        lines = [model, *(_state(f"s{cycle}", model, whole=reset) for cycle in range(cycles))]
        lines += [f"(assert (|top_u| |s{cycle}|))" for cycle in range(cycles)]
        lines += [f"(assert (|top_t| |s{cycle}| |s{cycle + 1}|))" for cycle in range(cycles - 1)]
        lines += ["(assert (|top_i| |s0|))"] if reset else []
        lines += [f"(assert (not (|top_n rst| |s{cycle}|)))" for cycle in range(cycles) if "rst" in sorts]
        self._signals: dict[tuple[str, int], Any] = {}
        for name in names:
            sort = sorts[name]
            for cycle in range(cycles):
                at = f"{name}@{cycle}"
                self._signals[name, cycle] = (
                    z3.Bool(at) if sort == "Bool" else z3.BitVec(at, int(sort.strip("()").split()[-1]))
                )
                lines.append(f"(declare-fun |{at}| () {sort})\n(assert (= |{at}| (|top_n {name}| |s{cycle}|)))")
        self._rules = z3.parse_smt2_string("\n".join(lines))

    def __call__(self, name: str, cycle: int = 0) -> Any:
        return self._signals[name, cycle]

    def proves(self, claim: Any, *assumptions: Any) -> bool:
        """Whether the claim holds whenever the assumptions do."""
        return self._check(z3.Not(claim), *assumptions) == z3.unsat

    def allows(self, *facts: Any) -> bool:
        """Whether all facts can be true together: assumptions that nothing meets prove everything."""
        return self._check(*facts) == z3.sat

    def _check(self, *facts: Any) -> z3.CheckSatResult:
        solver = z3.SolverFor("QF_UFBV")
        solver.set("timeout", _LIMIT_MS)
        solver.add(self._rules, *facts)
        found = solver.check()
        assert found != z3.unknown, solver.reason_unknown()
        return found


def ports(circuit: Any, header: Any = None) -> dict[str, Any]:
    """Every port of a circuit, and the outputs of the header that it only reads."""
    found = {"__".join(map(str, path)): value for path, _, value in circuit.signature.flatten(circuit)}
    if header is not None:
        outputs = ((path, value) for path, member, value in header.signature.flatten(header) if member.flow is Out)
        found |= {"__".join(map(str, ("header", *path))): value for path, value in outputs}
    return {name: (Value.cast(value), None) for name, value in found.items()}


def bits(value: Any, low: int, count: int = 1) -> Any:
    """Some bits of a vector."""
    return z3.Extract(low + count - 1, low, value)


def product(signed: Any, unsigned: Any) -> Any:
    """The whole product of a signed and an unsigned number."""
    width = signed.size() + unsigned.size()
    sort = z3.BitVecSort(width)
    multiply = z3.Function(f"product{width}", sort, sort, sort)
    factors = z3.SignExt(width - signed.size(), signed), z3.ZeroExt(width - unsigned.size(), unsigned)
    return z3.If(unsigned == 0, z3.BitVecVal(0, width), multiply(*factors))


def is_set(value: Any, index: int) -> Any:
    """Whether a bit of a vector is 1."""
    return bits(value, index) == 1


def any_of(facts: Sequence[Any]) -> Any:
    """One of some facts; false for none."""
    return reduce(z3.Or, facts, z3.BoolVal(False))


def broken(rule: str) -> list[ModuleType]:
    """The modules that ``make mutations`` breaks for a rule, each with one mutation."""
    found = []
    for mutation in MUTATIONS:
        if mutation.rule == rule:
            module = ModuleType(mutation.file.removesuffix(".py").replace("/", "."))
            exec(compile(mutated_text(mutation), mutation.file, "exec"), module.__dict__)
            found.append(module)
    assert found, f"no mutation of the circuit breaks {rule!r}"
    return found
