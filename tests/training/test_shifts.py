"""Learned shifts: what runs is whole, what trains is the bilinear kernel."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from tlm.training.shifts import LearnedShift  # noqa: E402


def shift(*displacements: tuple[float, float], stride: int = 1) -> LearnedShift:
    made = LearnedShift(len(displacements), stride)
    with torch.no_grad():
        made.displacement.copy_(torch.tensor(displacements))
        made.first.copy_(made.whole())
    return made


def test_the_kernel_that_runs_has_one_tap_of_one() -> None:
    kernel = shift((0.4, -0.4), (0.6, 0.0), (-3.0, 0.9)).kernel()
    assert kernel.flatten(1).argmax(1).tolist() == [4, 7, 2]
    assert kernel.flatten(1).sum(1).tolist() == pytest.approx([1.0, 1.0, 1.0])


def test_a_channel_moves_by_its_shift() -> None:
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 2] = 1.0
    moved = shift((1.0, -1.0))(image)
    assert moved[0, 0].nonzero().tolist() == [[1, 3]]
    assert shift((1.0, -1.0), stride=2)(image).shape == (1, 1, 3, 3)


def test_the_gradient_is_that_of_the_bilinear_kernel() -> None:
    made = shift((0.25, 0.75))
    weights = torch.arange(9.0).reshape(1, 3, 3) ** 2
    (made.kernel() * weights).sum().backward()
    y, x = (torch.tensor(value, requires_grad=True) for value in (0.25, 0.75))
    grid = weights[0]
    interpolated = (1 - y) * ((1 - x) * grid[1, 1] + x * grid[1, 2]) + y * ((1 - x) * grid[2, 1] + x * grid[2, 2])
    interpolated.backward()
    assert made.displacement.grad is not None
    assert made.displacement.grad[0].tolist() == pytest.approx([float(y.grad), float(x.grad)])


def test_a_shift_finds_its_place() -> None:
    made = shift((0.1, 0.1))
    images = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    images = torch.nn.functional.avg_pool2d(images, 3, 1, 1)
    wanted = shift((1.0, -1.0))(images).detach()
    optimiser = torch.optim.SGD(made.parameters(), lr=0.5)
    for _ in range(200):
        optimiser.zero_grad()
        (made(images) - wanted).square().mean().backward()
        optimiser.step()
    assert made.whole().tolist() == [[1.0, -1.0]]
    assert made.counts() == {"channels": 1, "shifted": 1, "moved": 1}


def test_pruning_keeps_the_longest_shifts() -> None:
    made = shift((0.9, 0.9), (0.6, 0.0), (0.0, -0.8), (0.1, 0.2))
    made.keep(0.5)
    assert made.whole().tolist() == [[1, 1], [0, 0], [0, -1], [0, 0]]
    assert made.counts() == {"channels": 4, "shifted": 2, "moved": 1}
    made.keep(0.25)
    assert made.counts()["shifted"] == 1
    assert float(made.penalty().detach()) == pytest.approx(1.8)
