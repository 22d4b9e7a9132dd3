"""Criteria in closed form."""

import math

import pytest
import torch

from genbench.gans.criterion import (
    Criterion,
    Hinge,
    LeastSquares,
    NonSaturating,
    Relativistic,
    Wasserstein,
)

CRITERIA = [NonSaturating(), LeastSquares(), Hinge(), Wasserstein(), Relativistic()]
REAL, FAKE = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])


def softplus(a: float) -> float:
    return math.log1p(math.exp(a))


@pytest.mark.parametrize(
    ("criterion", "disc", "gen"),
    [
        (NonSaturating(), 2 * math.log(2), math.log(2)),
        (LeastSquares(), 0.5, 0.5),
        (Hinge(), 2, 0),
        (Wasserstein(), 0, 0),
        (Relativistic(), math.log(2), math.log(2)),
    ],
)
def test_logits_of_zero_give_the_value_of_an_undecided_discriminator(
    criterion: Criterion, disc: float, gen: float
) -> None:
    zeros = torch.zeros(3)
    assert float(criterion.disc(zeros, zeros)) == pytest.approx(disc)
    assert float(criterion.gen(zeros, zeros)) == pytest.approx(gen)


@pytest.mark.parametrize(
    ("criterion", "disc", "gen"),
    [
        (
            NonSaturating(),
            (softplus(-2) + softplus(1) + softplus(0.5) + softplus(-3)) / 2,
            (softplus(-0.5) + softplus(3)) / 2,
        ),
        (LeastSquares(), (1 + 4 + 0.25 + 9) / 4, (0.25 + 16) / 4),
        (Hinge(), (0 + 2 + 1.5 + 0) / 2, (-0.5 + 3) / 2),
        (Wasserstein(), (0.5 - 3 - 2 + 1) / 2, (-0.5 + 3) / 2),
        (Relativistic(), (softplus(-1.5) + softplus(-2)) / 2, (softplus(1.5) + softplus(2)) / 2),
    ],
)
def test_criteria_have_their_closed_form(criterion: Criterion, disc: float, gen: float) -> None:
    assert float(criterion.disc(REAL, FAKE)) == pytest.approx(disc)
    assert float(criterion.gen(FAKE, REAL)) == pytest.approx(gen)


@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda c: type(c).__name__)
def test_the_two_losses_have_opposite_slopes_by_the_logits_of_fakes(criterion: Criterion) -> None:
    real, fake = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    down = torch.autograd.grad(criterion.disc(real, fake), (real, fake), allow_unused=True)
    (up,) = torch.autograd.grad(criterion.gen(fake, real), fake)
    assert float(down[0]) < 0  # the discriminator raises the logits of real images
    assert float(up) < 0  # the generator raises those of its own
    assert float(down[1]) >= 0


@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda c: type(c).__name__)
def test_criteria_are_float32_whatever_the_network_answers(criterion: Criterion) -> None:
    assert criterion.disc(REAL.bfloat16(), FAKE.bfloat16()).dtype == torch.float32
    assert criterion.gen(FAKE.bfloat16(), REAL.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda c: type(c).__name__)
def test_only_criteria_that_compare_need_real_logits_for_the_generator(criterion: Criterion) -> None:
    if not criterion.compares:
        assert torch.equal(criterion.gen(FAKE), criterion.gen(FAKE, REAL))
        return
    with pytest.raises(ValueError, match="needs the logits of real images"):
        criterion.gen(FAKE)


def test_a_constant_on_all_logits_means_nothing_to_the_relativistic_criterion() -> None:
    criterion = Relativistic()
    assert float(criterion.disc(REAL + 7, FAKE + 7)) == pytest.approx(float(criterion.disc(REAL, FAKE)))
