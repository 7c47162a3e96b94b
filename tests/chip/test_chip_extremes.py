"""The named extremes, one by one through the whole chip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from chip_cases import check_values, pass_first_of_all
from strategies import Case, bias_limit_case, extremes

import tlm
from tlm.chip.config import ChipConfig
from tlm.core.errors import CompileError
from tlm.network.layers import INPUT, Conv2d
from tlm.network.network import Network

TOO_LARGE = ("accumulator at its highest", "accumulator at its lowest")
"""Their activations must be known to prove them; the compiler knows only their range (see the provable limits)."""
EXTREMES = {name: case for name, case in extremes().items() if name not in TOO_LARGE}


@pass_first_of_all
@pytest.mark.parametrize("name", EXTREMES)
def test_extreme(fidelity: str, name: str) -> None:
    case = EXTREMES[name]
    columns = 8 if fidelity == "rtl" and case.columns == 64 else case.columns  # a circuit of 64x64 takes too long
    chip = ChipConfig(lanes=case.lanes, columns=columns)
    check_values(
        case.network, case.activations, tlm.simulate(case.network, case.activations, chip=chip, fidelity=fidelity)
    )


@pass_first_of_all
@pytest.mark.parametrize("total", [(1 << 23) - 1, -(1 << 23)])
def test_acc_plus_bias_at_its_limits(fidelity: str, total: int) -> None:
    case = bias_limit_case(total)
    result = tlm.simulate(case.network, case.activations, chip=ChipConfig(lanes=8, columns=8), fidelity=fidelity)
    assert set(result.outputs.ravel().tolist()) == {total}


def provable_limit_case(weight_sum: int, value: int) -> Case:
    """One pixel whose only sum is ``value * weight_sum``; every input pixel is ``value``."""
    sign, largest = (1, 7) if weight_sum > 0 else (-1, 8)
    full, rest = divmod(abs(weight_sum), largest)
    weights = np.zeros(-(-(full + 1) // 60) * 60, np.int8)
    weights[:full], weights[full] = sign * largest, sign * rest
    layer = Conv2d("c", weights.reshape(1, -1, 1, 60), accumulator_output=True)
    shape = (weights.size // 60, 1, 60)
    return Case(Network(shape, [layer], signed_input=value < 0), np.full(shape, value, np.int8), 8, 8)


@pass_first_of_all
@pytest.mark.slow
@pytest.mark.parametrize(
    ("weight_sum", "value", "total"),
    [(559_240, 15, (1 << 23) - 8), (-559_240, 15, 8 - (1 << 23)), (1 << 20, -8, -(1 << 23))],
)
def test_accumulator_at_the_provable_limits(fidelity: str, weight_sum: int, value: int, total: int) -> None:
    """The sums nearest to the 24-bit limits that can be proved; more weight words than the published WMem holds."""
    case = provable_limit_case(weight_sum, value)
    roomy = ChipConfig(lanes=8, columns=8, wmem_words=1 << 18, amem_words=1 << 15)
    result = tlm.simulate(case.network, case.activations, chip=roomy, fidelity=fidelity)
    assert result.outputs.ravel().tolist() == [total]


@pytest.mark.parametrize(("weight_sum", "value"), [(559_241, 15), (-559_241, 15), ((1 << 20) + 1, -8)])
def test_one_more_weight_is_refused(weight_sum: int, value: int) -> None:
    case = provable_limit_case(weight_sum, value)
    with pytest.raises(CompileError, match=r"layer 'c': a partial sum of output channel 0 can reach -?8388[67]\d\d"):
        tlm.compile(case.network, ChipConfig(lanes=8, columns=8, wmem_words=1 << 18, amem_words=1 << 15))


def all_equal(value: int, weight: int, signed: bool, **keys: Any) -> Case:
    layer = Conv2d("c", np.full((33, 20, 3, 3), weight, np.int8), padding=1, shift=40, multiplier=65_535, **keys)
    return Case(Network((20, 5, 7), [layer], signed), np.full((20, 5, 7), value, np.int8), 32, 32)


@pass_first_of_all
@pytest.mark.parametrize("bias", [-(1 << 23), (1 << 23) - 1])
@pytest.mark.parametrize("weight", [-8, 7])
@pytest.mark.parametrize(("value", "signed"), [(15, False), (0, False), (-8, True), (7, True)])
def test_operands_at_their_limits(fidelity: str, value: int, signed: bool, weight: int, bias: int) -> None:
    case = all_equal(value, weight, signed, bias=bias, signed_output=True)
    check_values(case.network, case.activations, tlm.simulate(case.network, case.activations, fidelity=fidelity))


@pass_first_of_all
@pytest.mark.parametrize("residual", [-8, 7])
def test_residual_at_its_limits(fidelity: str, residual: int) -> None:
    """Only the residual, times 65,535, decides the output; the input is signed."""
    layer = Conv2d(
        "c",
        np.zeros((3, 3, 1, 1), np.int8),
        shift=16,
        multiplier=0,
        residual=INPUT,
        residual_multiplier=65_535,
        signed_output=True,
    )
    network, activations = Network((3, 4, 9), [layer], True), np.full((3, 4, 9), residual, np.int8)
    result = tlm.simulate(network, activations, fidelity=fidelity)
    check_values(network, activations, result)
    assert set(result.outputs.ravel().tolist()) == {residual}
