"""Pipelines of diffusers as models: what they draw, what is counted, and what does not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from genbench.families.pretrained import DiffusersPipeline
from genbench.metrics import PassCounter
from genbench.runtime.precision import BFloat16
from genbench.training.flops import sampling_flops
from tests import pipelines
from tests.pipelines import CLASSES, SIZE

pytest.importorskip("diffusers")

GREY, CPU = (1, SIZE, SIZE), torch.device("cpu")


def of_classes(folder: Path) -> Path:
    return pipelines.consistency(folder, CLASSES)


def texts(folder: Path, *lines: str) -> str:
    (folder / "prompts.txt").write_text("\n".join(lines))
    return str(folder / "prompts.txt")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(folder: Path, *, of: Callable[[Path], Path] = pipelines.ddpm, **settings: Any) -> DiffusersPipeline:
    return DiffusersPipeline(settings.pop("shape", GREY), path=str(of(folder)), **settings)


KINDS: list[tuple[Callable[[Path], Path], dict[str, Any], int]] = [
    (pipelines.ddpm, {"steps": 3}, 3),
    (pipelines.ddim, {"steps": 4}, 4),
    (pipelines.consistency, {}, 1),
    (of_classes, {"num_classes": CLASSES, "steps": 2}, 2),
    (pipelines.dit, {"num_classes": CLASSES, "steps": 3, "guidance": 1.0}, 4),  # and the decoder of latents
]
"""The maker of a pipeline, its settings, and the passes of a sample."""


@pytest.fixture(params=KINDS, ids=lambda kind: kind[0].__name__)
def drawing(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[DiffusersPipeline, Tensor | None, int]:
    make, settings, passes = request.param
    y = torch.tensor([0, 5, 9]) if "num_classes" in settings else None
    return model(tmp_path, of=make, **settings), y, passes


def test_it_draws_images_that_follow_from_the_random_numbers(
    drawing: tuple[DiffusersPipeline, Tensor | None, int],
) -> None:
    made, y, _ = drawing
    x = made.sample(3, y, rng=rng())
    assert (tuple(x.shape), x.dtype) == ((3, *GREY), torch.float32)
    assert -1 <= float(x.min()) < float(x.max()) <= 1
    assert torch.equal(x, made.sample(3, y, rng=rng()))
    assert not torch.equal(x, made.sample(3, y, rng=rng(1)))


def test_it_draws_what_the_pipeline_draws(tmp_path: Path) -> None:
    import diffusers

    made = model(tmp_path, steps=3)
    theirs = diffusers.DDPMPipeline.from_pretrained(tmp_path, use_safetensors=True)
    theirs.set_progress_bar_config(disable=True)
    images = theirs(batch_size=2, generator=rng(), num_inference_steps=3, output_type="np").images
    expected = torch.from_numpy(images).permute(0, 3, 1, 2) * 2 - 1
    torch.testing.assert_close(made.sample(2, rng=rng()), expected, rtol=0, atol=1e-5)


def test_passes_and_operations_are_counted(drawing: tuple[DiffusersPipeline, Tensor | None, int]) -> None:
    made, y, passes = drawing
    with PassCounter(made.networks()) as counter:
        made.sample(3, y, rng=rng())
    assert counter.passes(3) == passes
    assert sampling_flops(made, y, n=3, device=CPU) > 0


def test_more_steps_are_more_operations_and_other_images(tmp_path: Path) -> None:
    few, many = (model(tmp_path / str(steps), steps=steps) for steps in (2, 4))
    assert sampling_flops(many, None, n=1, device=CPU) == 2 * sampling_flops(few, None, n=1, device=CPU)
    assert not torch.equal(few.sample(1, rng=rng()), many.sample(1, rng=rng()))


def test_classes_change_the_images(tmp_path: Path) -> None:
    made = model(tmp_path, of=of_classes, num_classes=CLASSES)
    one, other = (made.sample(2, torch.full((2,), label), rng=rng()) for label in (1, 2))
    assert not torch.equal(one, other)
    with pytest.raises(ValueError, match="from 0 to 9"):
        made.sample(2, torch.tensor([0, CLASSES]), rng=rng())


def test_in_bf16_it_draws_nearly_the_same(drawing: tuple[DiffusersPipeline, Tensor | None, int]) -> None:
    made, y, _ = drawing
    before = made.sample(3, y, rng=rng())
    BFloat16().apply(made.autocast_networks(), CPU)
    after = made.sample(3, y, rng=rng())
    assert after.dtype == torch.float32
    assert 0 < float((after - before).abs().max()) < 0.2


def test_nothing_is_trained(tmp_path: Path) -> None:
    made = model(tmp_path)
    assert made.phases == ()
    assert not any(parameter.requires_grad for parameter in made.parameters())
    with pytest.raises(ValueError, match="not trained here"):
        made.loss(torch.zeros(1, *GREY))


def test_its_state_is_a_fingerprint_that_other_weights_do_not_have(tmp_path: Path) -> None:
    first, other = (
        DiffusersPipeline(GREY, path=str(pipelines.ddpm(tmp_path / str(k), seed=k))) for k in (0, 1)
    )
    first.load_state_dict(first.state_dict())
    assert [*first.state_dict()] == ["fingerprint"]
    with pytest.raises(ValueError, match="not those that the run was made with"):
        other.load_state_dict(first.state_dict())


@pytest.mark.parametrize(
    ("make", "settings", "says"),
    [
        (
            pipelines.ddpm,
            {"shape": (3, 32, 32)},
            r"of \(1, 8, 8\), and the data have \(3, 32, 32\)",
        ),
        (pipelines.dit, {"shape": (1, 16, 16), "num_classes": CLASSES}, r"draws images of \(1, 8, 8\)"),
        (pipelines.ddpm, {"steps": 0}, "model.steps is 0; DDPMPipeline takes from 1 to 1000"),
        (pipelines.ddpm, {"steps": 1001}, "model.steps is 1001"),
        (pipelines.ddpm, {"guidance": 2.0}, "model.guidance is 2.0, and DDPMPipeline has no guidance_scale"),
        (
            pipelines.ddpm,
            {"num_classes": 3},
            "has 0 classes, and the data have 3 classes",
        ),
        (pipelines.ddpm, {"revision": "main"}, "model.revision is main, and .* is a folder"),
        (of_classes, {}, "draws images of 10 classes: use conditional=true"),
        (of_classes, {"num_classes": 3}, "has 10 classes, and the data have 3"),
        (pipelines.dit, {"num_classes": CLASSES}, "use model.guidance=1"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(
    make: Callable[[Path], Path], settings: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=says):
        model(tmp_path, of=make, **settings)


def test_prompts_are_of_pipelines_that_draw_to_texts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"takes no prompts: leave out model\.prompts"):
        model(tmp_path, prompts=texts(tmp_path, "a cat"))
    with pytest.raises(ValueError, match="holds no prompt"):
        model(tmp_path, prompts=texts(tmp_path, " ", ""))


def test_texts_are_drawn_in_turn_or_by_class(tmp_path: Path) -> None:
    path = str(pipelines.stable_diffusion(tmp_path))
    shape, prompts = (3, SIZE, SIZE), texts(tmp_path, "a cat", "", "dog", "b")
    made = DiffusersPipeline(shape, path=path, steps=2, prompts=prompts)
    with PassCounter(made.networks()) as counter:
        x = made.sample(3, rng=rng())
    assert tuple(x.shape) == (3, *shape)
    assert counter.passes(3) == 2 * 2 + 1  # guidance asks twice a step, the decoder comes last
    assert torch.equal(x, made.sample(3, rng=rng()))
    by_class = DiffusersPipeline(shape, 3, path=path, steps=2, guidance=1.0, prompts=prompts)
    one, other = (by_class.sample(2, torch.full((2,), label), rng=rng()) for label in (0, 1))
    assert not torch.equal(one, other)
    with pytest.raises(ValueError, match="has 3 prompts, one a class, and the data have 4"):
        DiffusersPipeline(shape, 4, path=path, prompts=prompts)
    with pytest.raises(ValueError, match=r"needs prompts: give model\.prompts=FILE"):
        DiffusersPipeline(shape, 3, path=path)
    with pytest.raises(ValueError, match=r"is not given texts: model\.prompts gives its texts"):
        made.condition(["a cat"])


def test_without_a_file_of_prompts_the_texts_of_y_are_drawn(tmp_path: Path) -> None:
    path, shape = str(pipelines.stable_diffusion(tmp_path)), (3, SIZE, SIZE)
    made = DiffusersPipeline(shape, path=path, steps=2)
    assert made.takes_text
    y = made.condition(["a", "", "\u00e9 dog"])
    x = made.sample(3, y, rng=rng())
    theirs = made.pipeline(["a", "", "\u00e9 dog"], num_inference_steps=2, generator=rng(), output_type="np")
    expected = torch.from_numpy(theirs.images).permute(0, 3, 1, 2) * 2 - 1
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-5)
    assert not torch.equal(x, made.sample(3, made.condition(["b", "", "\u00e9 dog"]), rng=rng()))
    with pytest.raises(ValueError, match="takes at most 8: shorten it"):
        made.condition(["a", "abcdefghij"])
    with pytest.raises(ValueError, match="y is None; this model needs 2 texts"):
        made.sample(2)
    with pytest.raises(ValueError, match="is not given texts: it draws to none"):
        model(tmp_path / "ddpm").condition(["a cat"])
