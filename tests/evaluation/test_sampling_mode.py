"""Images are drawn in inference mode where no part of a model needs gradients, as usual tensors."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from genbench.demo.drawing import Demo, Wish
from genbench.diffusion.guidance import Classifier
from genbench.evaluation.draw import drawn, samples
from genbench.evaluation.sampling_mode import drawn_in_turn, sampling_mode
from genbench.flows.dequantization import GaussianDequantization
from genbench.generator import Generator
from genbench.probability.differentiates import Differentiates, is_without_gradients
from genbench.runtime.context import Context
from tests.contract.families import Whole

CPU = torch.device("cpu")


class Opted(Whole):
    """Notes the mode in which it draws."""

    modes: list[bool]

    def __init__(self) -> None:
        super().__init__(num_classes=0)
        self.modes = []

    def samples_without_gradients(self) -> bool:
        return True

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        self.modes.append(torch.is_inference_mode_enabled())
        return super().decode(z, y)


class Plain(Opted):
    """The same without a word on its samples: a class from outside of genbench."""

    def samples_without_gradients(self) -> bool:
        return Generator.samples_without_gradients(self)


@pytest.mark.parametrize(("model", "mode"), [(Opted(), True), (Plain(), False)])
def test_the_mode_is_that_of_the_model_and_never_has_gradients(model: Opted, mode: bool) -> None:
    with sampling_mode(model):
        assert torch.is_inference_mode_enabled() == mode
        assert not torch.is_grad_enabled()


def test_parts_from_outside_and_parts_that_differentiate_are_known() -> None:
    class Foreign:
        pass

    own, foreign = nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))
    foreign[0].sampler = Foreign()  # type: ignore[assignment]
    assert is_without_gradients(own)
    assert not is_without_gradients(foreign)
    assert issubclass(Classifier, Differentiates)
    assert not is_without_gradients(nn.Sequential(GaussianDequantization()))


def test_images_of_a_drawing_are_usual_tensors_and_the_same_in_both_modes() -> None:
    found = []
    for model in (Opted(), Plain()):
        ((_, images),) = drawn(samples(model), 4, None, batch_size=4, context=Context(CPU, 0))
        assert not images.is_inference()
        found.append(images)
    assert torch.equal(*found)


def test_states_are_drawn_in_the_mode_and_used_outside_of_it() -> None:
    inside = []

    def states(n: int) -> Iterator[Tensor]:
        for k in range(n):
            inside.append(torch.is_inference_mode_enabled())
            yield torch.full((1,), float(k))

    taken = drawn_in_turn(Opted(), states(3))
    outside = [(float(state), torch.is_inference_mode_enabled()) for state in taken]
    assert inside == [True] * 3
    assert outside == [(0.0, False), (1.0, False), (2.0, False)]


def test_the_demo_draws_in_the_mode_of_the_model() -> None:
    model = Opted()
    list(Demo(lambda settings: model, CPU).pictures(Wish(n=4)))
    assert model.modes
    assert all(model.modes)
