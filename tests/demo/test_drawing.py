"""Grids of the demo page: the images of `genbench sample`, on their way."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from genbench import app
from genbench.demo.drawing import KEPT, Demo, Wish, grid
from genbench.evaluation.draw import drawn, samples
from genbench.evaluation.prompts import asked
from genbench.generator import Generator, Trajectory
from genbench.runtime.context import Context
from tests.conftest import Make
from tests.toys import trained_here

CPU = torch.device("cpu")
DDPM = ("network.width=8", "network.blocks=1", "sampler.steps=3")
GUIDED = (*DDPM, "conditional=true", "guidance=classifier_free")


def demo_of(run: Path, loaded: list[Mapping[str, object]] | None = None) -> Demo:
    """The demo of a run, which notes the settings of each model that it loads."""

    def load(settings: Mapping[str, object]) -> Generator:
        (loaded if loaded is not None else []).append(settings)
        return app.load(run, device="cpu", overrides=settings)

    return Demo(load, CPU)


def by_verb(run: Path, wish: Wish) -> np.ndarray:
    """The grid of the images that `genbench sample` draws for the same wish."""
    model = app.load(run, device="cpu", overrides=wish.settings)
    given = asked(model, wish.n, label=wish.label, prompts=[wish.prompt] * model.takes_text, device=CPU)
    ((_, images),) = drawn(samples(model), wish.n, given.y, batch_size=64, context=Context(CPU, wish.seed))
    return grid(images)


@pytest.mark.parametrize(
    "wish",
    [
        Wish(n=5, seed=3),
        Wish(n=4, label=7, settings={"sampler.steps": 2, "guidance.scale": 3.0}),
    ],
)
def test_the_last_picture_has_the_images_of_genbench_sample(made: Make, wish: Wish) -> None:
    run = made(*GUIDED)
    *_, last = demo_of(run).pictures(wish)
    assert np.array_equal(last, by_verb(run, wish))


def test_a_prompt_gives_the_images_of_genbench_sample_and_remarks(made: Make) -> None:
    run, wish = made(*DDPM, "data=captioned", "text=small"), Wish(n=2, prompt="a quagga above a five")
    demo = demo_of(run)
    *_, last = demo.pictures(wish)
    assert np.array_equal(last, by_verb(run, wish))
    assert not np.array_equal(last, by_verb(run, Wish(n=2)))
    (remark,) = demo.remarks(wish)
    assert "'quagga'" in remark


def test_pictures_show_the_way_from_noise(made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genbench.demo.drawing.PAUSE", -1.0)
    first, *_, last = pictures = list(demo_of(made(*DDPM)).pictures(Wish(n=4)))
    assert len(pictures) == 4  # noise, and a state after each of three steps
    assert not np.array_equal(first, last)


def test_a_model_of_one_step_shows_its_samples_alone(made: Make) -> None:
    run = made("model=vae", "network.encoder.width=8", "network.decoder.width=8")
    (only,) = demo_of(run).pictures(Wish(n=3))
    assert np.array_equal(only, by_verb(run, Wish(n=3)))


@pytest.mark.parametrize("name", trained_here())
def test_the_last_state_of_every_family_is_its_sample(name: str, made: Make) -> None:
    model = app.load(made(f"model={name}"), device="cpu")
    if not isinstance(model, Trajectory):
        pytest.skip("draws in one step")
    with torch.no_grad():
        *_, last = model.states(2, None, torch.Generator().manual_seed(1))
    assert torch.equal(last, model.sample(2, rng=torch.Generator().manual_seed(1)))


def test_drawing_leaves_torchs_generator_and_gradients_as_they_are(made: Make) -> None:
    pictures = demo_of(made(*DDPM)).pictures(Wish(n=2))
    before = torch.get_rng_state()
    next(pictures)
    assert torch.is_grad_enabled()  # between two pictures, in the thread of the server
    list(pictures)
    assert torch.equal(before, torch.get_rng_state())


def test_models_of_few_settings_stay_in_memory(made: Make) -> None:
    loaded: list[Mapping[str, object]] = []
    demo = demo_of(made(*DDPM), loaded)
    for steps in (1, 2, 1, *range(3, 3 + KEPT), 1):
        demo.with_settings({"sampler.steps": steps})
    assert [each.get("sampler.steps") for each in loaded] == [None, 1, 2, *range(3, 3 + KEPT), 1]


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (Wish(label=10), r"--label is 10; it must be from 0 to 9"),
        (Wish(settings={"sampler.steps": 0}), "steps is 0"),
        (Wish(settings={"guidance.scale": -1.0}), r"guidance.scale is -1"),
        (Wish(settings={"network.width": 4}), "network.width is not a setting of this model's sampling"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_before_anything_is_drawn(
    made: Make, wish: Wish, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        demo_of(made(*GUIDED)).pictures(wish)


@pytest.mark.parametrize("given", [{"n": 0}, {"n": 65}, {"seed": -1}, {"seed": 2**63}])
def test_numbers_out_of_range_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"it must be (from|at least)"):
        Wish(**given)  # type: ignore[arg-type]
