"""The learned-step quantiser: values, gradients against the formulas of the paper, and the first step."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from tlm.training.quantiser import (  # noqa: E402
    SMALLEST_STEP,
    best_step,
    gradient_scale,
    integers_of,
    quantise,
)


def test_halves_go_up_and_ends_are_cut_off() -> None:
    values = torch.tensor([-1.0, -0.25, -0.24, 0.24, 0.25, 0.74, 0.75, 3.7, 9.0])
    step = torch.tensor(0.5)
    assert integers_of(values, step, -8, 7).tolist() == [-2, 0, 0, 0, 1, 1, 2, 7, 7]
    assert quantise(values, step, 0, 7, 1.0).tolist() == [0, 0, 0, 0, 0.5, 0.5, 1, 3.5, 3.5]


def test_a_value_inside_passes_its_gradient_and_one_outside_none() -> None:
    values = torch.tensor([-5.0, -4.0, -3.9, 0.1, 3.5, 3.6], requires_grad=True)
    out = quantise(values, torch.tensor(0.5), -8, 7, 1.0)
    (out * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0, 2, 3, 4, 5, 0]


def test_the_steps_gradient_is_the_papers() -> None:
    """Equation 3: round(v/s) - v/s inside, the end outside; times the scale."""
    values = torch.tensor([-9.0, -1.3, 0.2, 2.6, 30.0])
    step = torch.tensor(2.0, requires_grad=True)
    quantise(values, step, -4, 3, 0.25).sum().backward()
    expected = (-4) + (-1 + 0.65) + (0 - 0.1) + (1 - 1.3) + 3
    assert step.grad is not None
    assert float(step.grad) == pytest.approx(0.25 * expected)


def test_each_row_has_its_own_step_and_gradient() -> None:
    values = torch.tensor([[1.2, 0.3], [1.2, 0.3]])
    step = torch.tensor([[1.0], [0.1]], requires_grad=True)
    out = quantise(values, step, -8, 7, 1.0)
    assert out.flatten().tolist() == pytest.approx([1.0, 0.0, 0.7, 0.3])
    out.sum().backward()
    assert step.grad is not None
    assert step.grad.flatten().tolist() == pytest.approx([-0.2 - 0.3, 7.0 + 0.0], abs=1e-5)


def test_gradient_scale() -> None:
    assert gradient_scale(100, 7) == pytest.approx(1 / 700**0.5)


def test_a_step_never_reaches_zero() -> None:
    out = quantise(torch.tensor([1.0]), torch.tensor(-1.0), -8, 7, 1.0)
    assert float(out) == pytest.approx(7 * SMALLEST_STEP)


def test_the_first_step_has_the_least_error() -> None:
    exact = torch.arange(-8, 8, dtype=torch.float32)[None] * 0.3
    assert float(best_step(exact, -8, 7)) == pytest.approx(0.3, rel=0.03)
    bell = torch.randn(1, 4096, generator=torch.Generator().manual_seed(0))
    step = best_step(bell, -8, 7)

    def error(size: float) -> float:
        return float((integers_of(bell, torch.tensor(size), -8, 7) * size - bell).square().mean())

    assert error(float(step)) < min(error(float(step) * 0.8), error(float(step) * 1.25))


def test_a_learned_step_finds_the_values_scale() -> None:
    values = torch.arange(-8, 8, dtype=torch.float32) * 0.3
    step = torch.tensor(0.5, requires_grad=True)
    optimiser = torch.optim.SGD([step], lr=0.01)
    for _ in range(400):
        optimiser.zero_grad()
        (quantise(values, step, -8, 7, gradient_scale(16, 7)) - values).square().sum().backward()
        optimiser.step()
    assert float(step.detach()) == pytest.approx(0.3, rel=0.02)
