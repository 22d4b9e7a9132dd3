"""Images are drawn in inference mode where no part of a model needs gradients, as usual tensors."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from genbench.demo.drawing import Demo, Wish
from genbench.evaluation.draw import drawn, samples
from genbench.evaluation.sampling_mode import drawn_in_turn, sampling_mode
from genbench.generator import Generator
from genbench.runtime.context import Context
from tests.contract.families import Whole
from tests.test_contract import build

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


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        (("model=ddpm", "conditional=true", "guidance=classifier"), False),
        (("model=ddpm", "conditional=true", "guidance=classifier_free"), True),
        (("model=flow", "dequantization=gaussian"), False),
        (("model=flow",), True),
    ],
)
def test_models_that_differentiate_while_sampling_say_so(words: tuple[str, ...], mode: bool) -> None:
    assert build(*words).samples_without_gradients() == mode


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
