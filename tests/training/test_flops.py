"""Operations are counted, held to closed forms."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from genbench.generator import Generator, Loss, Stage
from genbench.training.flops import count, sampling_flops, spent_flops, training_flops
from tests.toys import toy_model


def test_a_multiplication_and_its_addition_are_two_operations() -> None:
    linear, conv = nn.Linear(5, 7), nn.Conv2d(2, 3, 3, padding=1)
    assert count(lambda: linear(torch.zeros(4, 5))) == 2 * 4 * 5 * 7
    assert count(lambda: conv(torch.zeros(1, 2, 6, 6))) == 2 * 36 * 2 * 3 * 9


def test_the_count_is_that_of_torch_where_torch_can_count() -> None:
    model, x = toy_model(), torch.zeros(2, 1, 4, 4)
    with FlopCounterMode(display=False) as counter:
        model.loss(x).total.backward()
    assert count(lambda: model.loss(x).total.backward()) == counter.get_total_flops()


def test_a_slope_of_a_slope_is_counted() -> None:
    weight, x = torch.ones(4, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)

    def penalty() -> None:
        (slope,) = torch.autograd.grad((x @ weight.T).square().sum(), x, create_graph=True)
        slope.square().sum().backward()

    once = 2 * 2 * 3 * 4
    assert count(penalty) > 4 * once  # forward, its slope, and both of these backward


class Two(Generator):
    """Two phases of one linear layer each."""

    phases = ("a", "a", "b")

    def __init__(self) -> None:
        super().__init__((1, 2, 2))
        self.a, self.b = nn.Linear(4, 3, bias=False), nn.Linear(4, 5, bias=False)

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "a", step: int = 0) -> Loss:
        return Loss((self.a if phase == "a" else self.b)(x.flatten(1)).mean(), {})

    def sample(self, n: int, y: Tensor | None = None, *, rng: torch.Generator | None = None) -> Tensor:
        raise AssertionError("nothing is drawn here")

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        return list((self.a if phase == "a" else self.b).parameters())


def test_a_step_counts_all_phases_forward_and_backward() -> None:
    # Of a first layer the backward pass computes the gradient of the weight, and none of the image.
    per_image = 2 * 2 * (4 * 3 * 2 + 4 * 5) / 3
    assert training_flops(Two(), torch.zeros(6, 1, 2, 2), None) == pytest.approx(per_image)


class Watched(Two):
    """Its images require gradient, as those of a GAN's penalty do."""

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "a", step: int = 0) -> Loss:
        return super().loss(x.clone().requires_grad_(), y, phase=phase, step=step)


def test_gradients_that_the_training_loop_does_not_compute_are_not_counted() -> None:
    x = torch.zeros(6, 1, 2, 2)
    assert training_flops(Watched(), x, None) == training_flops(Two(), x, None)


class Staged(Two):
    """Each layer in a stage of its own, the second of them five times as dear and a quarter of the budget."""

    phases = ("a", "b")
    stages = (Stage(0.75, ("a",)), Stage(0.25, ("b",)))

    def __init__(self) -> None:
        super().__init__()
        self.b = nn.Linear(4, 15, bias=False)


def test_a_training_in_stages_costs_what_the_images_of_each_stage_did() -> None:
    x, a, b = torch.zeros(6, 1, 2, 2), 2 * 2 * 4 * 3, 2 * 2 * 4 * 15
    assert training_flops(Staged(), x, None) == pytest.approx(0.75 * a + 0.25 * b)
    counted = {("a",): 900, ("b",): 100}
    assert spent_flops(Staged(), x, None, images=counted, images_seen=1000) == pytest.approx(
        900 * a + 100 * b
    )
    before = spent_flops(Staged(), x, None, images={}, images_seen=1000)  # of a checkpoint that has no counts
    assert before == pytest.approx(1000 * training_flops(Staged(), x, None))


def test_counting_changes_neither_weights_nor_streams() -> None:
    model, x = toy_model(), torch.zeros(2, 1, 4, 4)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    assert training_flops(model, x, None) > 0
    one, two = (sampling_flops(model.eval(), None, n=n, device=torch.device("cpu")) for n in (1, 2))
    assert one > two > one / 2  # what follows from the time alone is computed once a step for both images
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
