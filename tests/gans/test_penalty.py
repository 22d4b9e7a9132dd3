"""Penalties in closed form: the slope of a linear critic is its weight."""

import pytest
import torch
from torch import Tensor

from genbench.gans.penalty import Critic, Penalties, squared_slopes
from genbench.probability.loss import Loss

WEIGHT = torch.tensor([3.0, -4.0, 12.0, 0.0]).reshape(1, 2, 2)  # of norm 13
CHANNEL = {"r1": 13.0**2 / 2, "r2": 13.0**2 / 2, "gradient": 12.0**2}
LOGGED = {"r1": 13.0**2, "r2": 13.0**2, "gradient": 12.0**2}


def linear(x: Tensor) -> Tensor:
    return (WEIGHT * x).flatten(1).sum(1)


def images() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(5, 1, 2, 2, generator=rng), torch.randn(5, 1, 2, 2, generator=rng)


def penalty(penalties: Penalties, critic: Critic = linear, *, step: int = 0) -> Loss:
    real, fake = penalties.watch(*images(), step=step)
    return penalties(critic, real, fake, logits=(critic(real), critic(fake)), step=step)


@pytest.mark.parametrize("name", ["r1", "r2", "gradient"])
def test_a_linear_critic_pays_for_its_weight(name: str) -> None:
    found = penalty(Penalties(**{name: 2.0}))
    assert float(found.total) == pytest.approx(2 * CHANNEL[name], rel=1e-5)
    assert {n: float(v) for n, v in found.terms.items()} == {name: pytest.approx(LOGGED[name], rel=1e-5)}
    assert found.total.dtype == torch.float32


def test_penalties_add_up() -> None:
    found = penalty(Penalties(r1=1.0, r2=2.0, gradient=3.0))
    expected = CHANNEL["r1"] + 2 * CHANNEL["r2"] + 3 * CHANNEL["gradient"]
    assert float(found.total) == pytest.approx(expected, rel=1e-5)


def test_r1_looks_at_real_images_and_r2_at_generated_ones() -> None:
    def square(x: Tensor) -> Tensor:
        return x.square().flatten(1).sum(1) / 2  # of slope x

    real, fake = images()
    for penalties, where in ((Penalties(r1=2.0), real), (Penalties(r2=2.0), fake)):
        expected = where.square().flatten(1).sum(1).mean()
        assert float(penalty(penalties, square).total.detach()) == pytest.approx(float(expected), rel=1e-5)


def test_the_gradient_penalty_looks_between_real_and_generated_images() -> None:
    seen = []

    def watching(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return linear(x)

    real, fake = torch.zeros(200, 1, 2, 2), torch.ones(200, 1, 2, 2)
    Penalties(gradient=1.0)(watching, real, fake, logits=(linear(real), linear(fake)), step=0)
    (mixed,) = seen
    u = mixed[:, 0, 0, 0]
    assert torch.equal(mixed, u[:, None, None, None].expand_as(mixed))  # one point of the line an image
    assert 0 <= float(u.min()) < 0.1 < 0.9 < float(u.max()) <= 1


def test_no_weight_is_no_work() -> None:
    real, fake = Penalties().watch(*images(), step=0)
    assert not real.requires_grad
    assert not fake.requires_grad

    def never(x: Tensor) -> Tensor:
        raise AssertionError

    found = Penalties()(never, real, fake, logits=(linear(real), linear(fake)), step=0)
    assert float(found.total) == 0
    assert found.terms == {}


def test_lazy_penalties_are_rare_and_as_much_stronger() -> None:
    totals = [float(penalty(Penalties(r1=1.0, gradient=1.0, every=4), step=step).total) for step in range(8)]
    full = float(penalty(Penalties(r1=1.0, gradient=1.0)).total)
    assert totals == [pytest.approx(4 * full), 0, 0, 0, pytest.approx(4 * full), 0, 0, 0]
    real, _ = Penalties(r1=1.0, every=4).watch(*images(), step=3)
    assert not real.requires_grad


def test_penalties_move_the_weights() -> None:
    weight = WEIGHT.clone().requires_grad_()
    found = penalty(Penalties(r1=1.0), lambda x: (weight * x).flatten(1).sum(1))
    (slope,) = torch.autograd.grad(found.total, weight)
    torch.testing.assert_close(slope, WEIGHT)  # of |w|^2 / 2


def test_a_critic_that_sees_nothing_pays_1_and_stays_finite() -> None:
    weight = torch.zeros(1, 2, 2, requires_grad=True)
    found = penalty(Penalties(gradient=1.0), lambda x: (weight * x).flatten(1).sum(1))
    (slope,) = torch.autograd.grad(found.total, weight)
    assert float(found.total.detach()) == pytest.approx(1, abs=1e-5)
    assert bool(slope.isfinite().all())


def test_slopes_are_those_of_each_image() -> None:
    x = images()[0].requires_grad_()
    slopes = squared_slopes(x.pow(3).flatten(1).sum(1) / 3, x)
    torch.testing.assert_close(slopes, x.detach().pow(4).flatten(1).sum(1))


@pytest.mark.parametrize("name", ["r1", "r2", "gradient"])
def test_weights_below_zero_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"penalty\.{name} is -1\.0; it must be at least 0"):
        Penalties(**{name: -1.0})


def test_a_penalty_less_often_than_each_step_is_refused() -> None:
    with pytest.raises(ValueError, match=r"penalty\.every is 0; it must be at least 1"):
        Penalties(every=0)
