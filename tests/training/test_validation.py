"""Validation images are never trained on; validating them changes nothing; the best of it is saved."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from genbench.contract.trainings import StopsAt, numbers, twenty_images
from genbench.data import ImageData, Split
from genbench.diffusion.variance import Fitted
from genbench.generator import Generator
from genbench.runtime.context import Context
from genbench.runtime.precision import BFloat16
from genbench.tracking import Tracker
from genbench.training import checkpoint_contents
from genbench.training.budget import Budget
from genbench.training.checkpoint import CheckpointStore
from genbench.training.hooks import Hooks, OnEvaluate
from genbench.training.loop import Recipe, Trainer, train
from genbench.training.lr_schedule import Cosine
from genbench.training.state import Trained
from genbench.training.validation import validated_phases
from tests.test_contract import MODELS, candidate
from tests.toys import toy_model, toy_process

CPU = torch.device("cpu")
QUICK = ("ddpm", "gan", "vae", "latent_diffusion")
ADAM = partial(torch.optim.Adam, lr=1e-2, fused=True)


class Noting(Split):
    """A split that notes the places, among the stored images, of all images that are gathered from it."""

    def __init__(self, split: Split) -> None:
        super().__init__(split.stored_images, None, (), split.rows)
        self.labels, self.gathered = split.labels, set[int]()

    def gather(self, index: Tensor, device: torch.device) -> tuple[Tensor, Tensor | None]:
        self.gathered.update((index if self.rows is None else self.rows[index]).tolist())
        return super().gather(index, device)


class Logged(StopsAt):
    """A tracker that holds all validations, by images seen."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__(stop_at)
        self.found: dict[int, dict[str, float]] = {}

    def log(self, values: Mapping[str, float], *, images_seen: int) -> None:
        super().log(values, images_seen=images_seen)
        if validation := {k: v for k, v in values.items() if k.startswith("validation/")}:
            self.found[images_seen] = validation

    def state(self) -> dict[str, Any]:
        return {"position": 0}


def divided(model: Generator, share: float = 0.3) -> ImageData:
    """Twenty images, of which a part is set aside, in splits that note what is gathered."""
    split = twenty_images(model)
    data = ImageData("random", split, split, (), 0, True, "key", model.shape).divided(share)
    assert data.validation is not None
    return replace(
        data, train=Noting(data.train), validation=Noting(data.validation), undivided=Noting(split)
    )


def run(
    folder: Path,
    model: Generator,
    data: ImageData,
    tracker: StopsAt | None = None,
    *,
    budget: int = 48,
    on_validate: OnEvaluate = lambda model: {},
    **settings: Any,
) -> Trained:
    """A short training in the loop, from the checkpoint in a folder if there is one."""
    store, tracker = CheckpointStore(folder / "checkpoints"), tracker or Logged()
    made: dict[str, Any] = {"batch_size": 16, "log_every_images": 16, "validate_every_images": 16, **settings}
    watched: Tracker = tracker
    return train(
        model,
        data,
        Recipe(Trainer(**made), ADAM, Cosine(64), Budget(budget)),
        Hooks(watched, lambda model, images_seen: None, lambda model: {}, on_validate),
        checkpoints=store,
        checkpoint=store.load(CPU, checkpoint_contents.resumable(model, ADAM)),
        context=Context(CPU, 0, stop=tracker.stop),
    )


def same(a: Trained, b: Trained) -> bool:
    ours, theirs = numbers(a), numbers(b)
    return all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.parametrize(
    "model", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def test_validation_images_are_never_trained_on_and_validating_them_changes_nothing(
    model: str, tmp_path: Path
) -> None:
    family = candidate(f"model={model}", "conditional=false")
    data, tracker = divided(family.built), Logged()
    found = run(tmp_path / "on", family.fresh(), data, tracker, keep="best")
    assert isinstance(data.train, Noting)
    assert isinstance(data.validation, Noting)
    assert isinstance(data.undivided, Noting)
    aside = set(range(20)) - set(data.train.rows.tolist())  # type: ignore[union-attr]
    assert data.validation.gathered == aside
    assert data.train.gathered == set(range(20)) - aside
    assert data.undivided.gathered == set()
    phases = list(dict.fromkeys(phase for each in found.images_by_phases for phase in each))
    names = {name for values in tracker.found.values() for name in values}
    several = len(set(family.built.phases)) > 1
    assert names == {f"validation/{phase}/loss" if several else "validation/loss" for phase in phases}
    assert all(value == value for values in tracker.found.values() for value in values.values())
    off = run(tmp_path / "off", family.fresh(), replace(data, validation=None))
    assert same(found, off)


def losses(model: Generator, folder: Path, **settings: Any) -> dict[int, dict[str, float]]:
    tracker = Logged()
    run(folder, model, divided(model), tracker, **settings)
    return tracker.found


def test_a_validation_loss_is_the_mean_over_the_images_under_the_same_noise_each_time(
    tmp_path: Path,
) -> None:
    class Still(torch.optim.SGD):
        def __init__(self, parameters: Any) -> None:
            super().__init__(parameters, lr=0.0)

    model = toy_model()
    data, tracker = divided(model), Logged()
    train(
        model,
        data,
        Recipe(Trainer(batch_size=16, validate_every_images=16), Still, Cosine(64), Budget(48)),
        Hooks(tracker, lambda model, images_seen: None, lambda model: {}),
        checkpoints=CheckpointStore(tmp_path),
        checkpoint=None,
        context=Context(CPU),
    )
    values = [found["validation/loss"] for found in tracker.found.values()]
    assert len(values) == 3
    assert len(set(values)) == 1  # weights that do not move have one loss


def test_accumulation_and_the_batch_do_not_change_what_is_validated(tmp_path: Path) -> None:
    whole = losses(toy_model(), tmp_path / "1")
    parts = losses(toy_model(), tmp_path / "2", accumulate=4)
    for seen, values in whole.items():
        assert parts[seen]["validation/loss"] == pytest.approx(values["validation/loss"], rel=1e-4)


def test_a_resumed_training_has_the_validations_and_the_best_of_a_straight_one(tmp_path: Path) -> None:
    straight, first, second = Logged(), Logged(stop_at=64), Logged()
    settings: dict[str, Any] = {"budget": 160, "keep": "best", "patience": 20}
    whole = run(tmp_path / "1", toy_model(), divided(toy_model()), straight, **settings)
    half = run(tmp_path / "2", toy_model(), divided(toy_model()), first, **settings)
    assert (half.finished, half.images_seen) == (False, 64)
    resumed = run(tmp_path / "2", toy_model(seed=1), divided(toy_model()), second, **settings)
    assert {**first.found, **second.found} == straight.found
    assert same(whole, resumed)
    assert whole.best == resumed.best
    assert whole.best is not None
    assert whole.best.value == min(found["validation/loss"] for found in straight.found.values())
    ours, theirs = (CheckpointStore(tmp_path / n / "checkpoints").load_best(CPU) for n in "12")
    assert ours is not None
    assert theirs is not None
    assert ours["best"] == theirs["best"]
    assert all(torch.equal(value, theirs["ema"][name]) for name, value in ours["ema"].items())


def test_a_training_in_bfloat16_validates(tmp_path: Path) -> None:
    model = toy_model()
    BFloat16().apply(model.autocast_networks(), CPU)
    assert all(found["validation/loss"] > 0 for found in losses(model, tmp_path).values())


def by_turns(*values: float) -> OnEvaluate:
    """Bits per dimension as given, one validation after the other."""
    left = list(values)
    return lambda model: {"bits_per_dim": left.pop(0)}


def test_the_best_weights_are_those_of_the_best_validation_with_what_is_fitted_to_them(
    tmp_path: Path,
) -> None:
    model = toy_model(process=toy_process(variance=Fitted(50)))
    seen = []

    def measure(average: Generator) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in average.named_parameters()})
        return {"bits_per_dim": [3.0, 2.0, 2.5][len(seen) - 1]}

    found = run(tmp_path, model, divided(model), keep="best", keep_by="bits_per_dim", on_validate=measure)
    best = CheckpointStore(tmp_path / "checkpoints").load_best(CPU, checkpoint_contents.weights("ema", model))
    assert found.best is not None
    assert best is not None
    assert (found.best.value, found.best.images_seen) == (2.0, 32)
    assert (best["best"]["value"], best["images_seen"]) == (2.0, 32)
    assert all(torch.equal(value, best["ema"][name]) for name, value in seen[1].items())
    assert bool((best["ema"]["process.variance.m"][1:] > 0).all())


def test_patience_ends_the_training_and_says_so_and_it_is_finished(tmp_path: Path) -> None:
    model, data = toy_model(), divided(toy_model())
    turns = by_turns(3.0, 2.0, 2.0, float("nan"), 1.0)
    found = run(tmp_path, model, data, budget=160, keep_by="bits_per_dim", patience=2, on_validate=turns)
    assert (found.finished, found.images_seen) == (True, 64)  # neither an equal value nor nan is better
    assert found.best is not None
    assert "trainer.patience=2" in (found.best.ended_early or "")
    assert "since 32 images" in (found.best.ended_early or "")
    assert not (tmp_path / "checkpoints" / "best.pt").exists()
    again = run(tmp_path, toy_model(seed=1), data, budget=160, keep_by="bits_per_dim", patience=2)
    assert again.images_seen == 64
    assert again.best == found.best


def test_a_resumed_training_ends_by_patience_where_a_straight_one_does(tmp_path: Path) -> None:
    """Stopped after one of the two validations that may bring nothing better, and once more after its end."""
    start = toy_model().state_dict()

    def way(average: Generator) -> dict[str, float]:
        """The way that the weights have gone, which grows: the first validation remains the best."""
        state = average.state_dict()
        return {
            "bits_per_dim": sum(float((state[name] - value).abs().sum()) for name, value in start.items())
        }

    settings: dict[str, Any] = {"budget": 160, "keep": "best", "keep_by": "bits_per_dim", "patience": 2}
    straight, resumed = (tmp_path / name for name in ("straight", "resumed"))
    whole = run(straight, toy_model(), divided(toy_model()), on_validate=way, **settings)
    assert (whole.finished, whole.images_seen) == (True, 48)
    half = run(resumed, toy_model(), divided(toy_model()), Logged(stop_at=32), on_validate=way, **settings)
    assert (half.finished, half.images_seen) == (False, 32)
    for seed in (1, 2):
        again = run(resumed, toy_model(seed=seed), divided(toy_model()), on_validate=way, **settings)
        assert (again.finished, again.images_seen) == (True, 48)
        assert same(whole, again)
        assert again.best == whole.best
    ours, theirs = (CheckpointStore(each / "checkpoints").load_best(CPU) for each in (straight, resumed))
    assert ours is not None
    assert theirs is not None
    assert ours["best"] == theirs["best"]
    assert ours["images_seen"] == theirs["images_seen"] == 16
    assert all(torch.equal(value, theirs["ema"][name]) for name, value in ours["ema"].items())


def test_only_validations_of_the_last_stage_count(tmp_path: Path) -> None:
    family = candidate("model=latent_diffusion", "conditional=false")
    data, tracker = divided(family.built), Logged()
    found = run(tmp_path, family.fresh(), data, tracker, budget=96, keep="best")
    (last,) = validated_phases(family.built)
    counted = [
        values[f"validation/{last}/loss"]
        for values in tracker.found.values()
        if f"validation/{last}/loss" in values
    ]
    assert 0 < len(counted) < len(tracker.found)
    assert found.best is not None
    assert found.best.value == min(counted)


def test_a_damaged_record_of_the_best_is_refused(tmp_path: Path) -> None:
    model = toy_model()
    run(tmp_path, model, divided(model))
    state = CheckpointStore(tmp_path / "checkpoints").load(CPU)
    assert state is not None
    check = checkpoint_contents.resumable(model, ADAM)
    check(state)
    painted = {"ended_early": "\x1b[31m"}
    for wrong in ({"waiting": -1}, {"value": "low"}, {"images_seen": 2**70}, {"other": 1}, painted):
        with pytest.raises(ValueError, match="its best validation"):
            check({**state, "best": {**state["best"], **wrong}})


def test_without_validation_images_a_checkpoint_is_as_before(tmp_path: Path) -> None:
    model, split = toy_model(), twenty_images(toy_model())
    data = ImageData("random", split, split, (), 0, True, "key", model.shape)
    run(tmp_path, model, data, keep="best", patience=1)
    state = CheckpointStore(tmp_path / "checkpoints").load(CPU)
    assert state is not None
    assert "best" not in state
    assert state["data_key"] == "key"
    assert json.dumps(sorted(state)) == json.dumps(sorted({*state} - {"best"}))
