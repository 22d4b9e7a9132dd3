"""A training with a target ends at the check that finds it reached, and says what the checks took."""

import math
from functools import partial
from pathlib import Path

import pytest
import torch

from genbench.generator import Generator
from genbench.runtime.context import Context
from genbench.training import checkpoint_contents
from genbench.training.budget import Budget
from genbench.training.checkpoint import CheckpointStore
from genbench.training.hooks import Hooks, OnEvaluate
from genbench.training.loop import Recipe, Trainer, train
from genbench.training.lr_schedule import Cosine
from genbench.training.state import Trained
from genbench.training.target import Target, TargetChecks
from tests.toys import toy_model
from tests.training.test_validation import Logged, by_turns, divided, same

CPU = torch.device("cpu")
ADAM = partial(torch.optim.Adam, lr=1e-2, fused=True)
BITS = Target("bits_per_dim", 2.0, -1)
FID = "fid[digits-cnn-v1,n=20,ref=validation,ema]"


def run(
    folder: Path,
    on_validate: OnEvaluate,
    target: Target = BITS,
    *,
    stop_at: int | None = None,
    seed: int = 0,
    budget: int = 160,
) -> Trained:
    """A short training with a target, from the checkpoint in a folder if there is one."""
    store, model, tracker = CheckpointStore(folder / "checkpoints"), toy_model(seed=seed), Logged(stop_at)
    trainer = Trainer(batch_size=16, log_every_images=16, validate_every_images=16)
    return train(
        model,
        divided(toy_model()),
        Recipe(trainer, ADAM, Cosine(64), Budget(budget)),
        Hooks(tracker, lambda model, images_seen: None, lambda model: {}, on_validate, target=target),
        checkpoints=store,
        checkpoint=store.load(CPU, checkpoint_contents.resumable(model, ADAM)),
        context=Context(CPU, 0, stop=tracker.stop),
    )


@pytest.mark.parametrize(
    ("values", "better", "end"),
    [
        ((3.0, 2.5, 2.0, 1.0), -1, 48),  # a value that is equal to the target is as good as it
        ((1.0, math.nan, 2.5, 3.0), 1, 48),
        ((3.0, math.nan, 2.5), -1, None),
    ],
)
def test_a_training_ends_at_the_first_check_that_is_as_good_as_its_target(
    values: tuple[float, ...], better: int, end: int | None, tmp_path: Path
) -> None:
    found = run(tmp_path, by_turns(*values), BITS._replace(better=better), budget=16 * len(values))
    checks = found.target_checks
    assert checks is not None
    assert found.finished
    assert checks.images_seen == end
    assert found.images_seen == (end or 16 * len(values))
    assert (checks.seconds is None) == (end is None)
    assert checks.checks == found.images_seen // 16
    assert checks.checking_seconds > 0


def test_a_target_is_of_the_scores_against_validation_images_alone(tmp_path: Path) -> None:
    of_test = FID.replace("validation", "test").replace("ema", "test")
    scored = run(tmp_path / "a", lambda model: {of_test: 0.1, FID: 5.0}, Target("fid", 1.0, -1), budget=32)
    assert scored.target_checks is not None
    assert (scored.target_checks.value, scored.target_checks.images_seen) == (5.0, None)
    missing = run(tmp_path / "b", lambda model: {}, Target("fid", 1.0, -1), budget=32)
    assert missing.target_checks is not None
    assert (missing.target_checks.checks, missing.target_checks.value) == (0, None)


def test_checks_change_nothing_but_the_end_and_their_seconds_are_no_training(tmp_path: Path) -> None:
    free = run(tmp_path / "free", lambda model: {}, Target(), budget=48)
    ended = run(tmp_path / "ended", by_turns(3.0, 3.0, 1.0))
    assert free.target_checks is None
    assert ended.images_seen == free.images_seen == 48
    # The learning rate goes by the limit of the budget, which differs; with one limit all weights agree.
    whole = run(tmp_path / "whole", by_turns(3.0, 3.0, 1.0), budget=48)
    assert same(free, whole)


def test_a_training_that_is_resumed_between_checks_ends_as_a_straight_one(tmp_path: Path) -> None:
    start = toy_model().state_dict()

    def way(average: Generator) -> dict[str, float]:
        """Less for weights that have gone further, so that the fourth check is the one that is reached."""
        state = average.state_dict()
        gone = sum(float((state[name] - value).abs().sum()) for name, value in start.items())
        seen.append(-gone)
        return {"bits_per_dim": -gone}

    seen: list[float] = []
    run(tmp_path / "first", way, Target(), budget=160)
    target = Target("bits_per_dim", seen[3], -1)
    whole = run(tmp_path / "straight", way, target)
    assert whole.images_seen == 64
    half = run(tmp_path / "parts", way, target, stop_at=32)
    assert (half.finished, half.images_seen) == (False, 32)
    for seed in (1, 2):  # once more after its end
        again = run(tmp_path / "parts", way, target, seed=seed)
        assert (again.finished, again.images_seen) == (True, 64)
        assert same(whole, again)
        assert again.target_checks is not None
        assert whole.target_checks is not None
        ours, theirs = (
            (x.checks, x.value, x.images_seen) for x in (whole.target_checks, again.target_checks)
        )
        assert ours == theirs == (4, seen[3], 64)


def test_a_damaged_record_of_the_checks_is_refused(tmp_path: Path) -> None:
    run(tmp_path, by_turns(3.0, 3.0), budget=32)
    model = toy_model()
    state = CheckpointStore(tmp_path / "checkpoints").load(CPU)
    assert state is not None
    check = checkpoint_contents.resumable(model, ADAM)
    check(state)
    for wrong in ({"checks": -1}, {"value": "low"}, {"images_seen": 2**70}, {"other": 1}, {"checks": None}):
        with pytest.raises(ValueError, match="its checks of the target"):
            check({**state, "target_checks": {**state["target_checks"], **wrong}})


def test_nothing_that_is_missing_reaches_a_target() -> None:
    assert not Target("fid", 1.0).is_reached(None)
    assert not Target("fid", 1.0).is_reached(math.nan)
    assert not Target().is_reached(0.0)
    assert TargetChecks().images_seen is None


@pytest.mark.parametrize("until", [math.nan, math.inf])
def test_a_target_is_a_number_and_has_a_limit_beside_it(until: float) -> None:
    with pytest.raises(ValueError, match=r"budget\.until is"):
        Budget(100, until=until)
    with pytest.raises(ValueError, match=r"budget\.until=20 may never be reached"):
        Budget(until=20.0)
    assert Budget(flops=1e9, until=20.0, objective="kid").in_images(1e6) == Budget(
        images=1000, until=20.0, objective="kid"
    )
