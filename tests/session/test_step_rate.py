"""Training steps timed in both precisions, once."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from genbench import app
from genbench.data import Split, to_float
from genbench.generator import Stage
from genbench.records.files import read_sealed, sealed
from genbench.session.run_parts import Parts
from genbench.session.step_rate import COMPARED, StepRates
from tests.conftest import ROOT
from tests.toys import TINY


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("genbench.session.step_rate.TURNS", 1)
    monkeypatch.setattr("genbench.session.step_rate.SHORTEST", 0.0)


def parts(*overrides: str) -> Parts:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return app.build(compose("config", overrides=[*TINY, *overrides]))


def rates(made: Parts) -> StepRates:
    split = Split(torch.randint(0, 256, (8, 1, 8, 8), dtype=torch.uint8), None)
    return StepRates(made.model, to_float(split.images), None, made)


def test_every_precision_has_a_rate_and_the_second_question_is_answered_from_the_cache() -> None:
    first = rates(parts())
    found = first.rates()
    assert set(found) == set(COMPARED)
    assert all(rate > 0 for rate in found.values())
    first.path.write_text(json.dumps(sealed("rates", {"fp32": 3.0, "bf16": 4.0})))
    assert rates(parts()).rates() == {"fp32": 3.0, "bf16": 4.0}


def test_another_model_or_batch_size_is_another_question() -> None:
    paths = [
        rates(parts(*overrides)).path
        for overrides in ([], ["network.width=16"], ["trainer.batch_size=32"], ["seed=1"])
    ]
    assert len(set(paths)) == 3
    assert paths[0] == paths[3]


@pytest.mark.parametrize(
    "content", ["", "{}", "[1]", '{"fp32": "x", "bf16": 2.0}', '{"fp32": -1.0, "bf16": 2.0}', "{" * 5000]
)
def test_a_damaged_cache_is_measured_anew(content: str) -> None:
    one = rates(parts())
    one.path.parent.mkdir(parents=True)
    one.path.write_text(content)
    with pytest.warns(UserWarning, match="measured anew"):
        assert all(rate > 0 for rate in one.rates().values())
    assert set(read_sealed(one.path, "rates")) == set(COMPARED)


@pytest.mark.parametrize("model", ["ddpm", "gan", "latent_diffusion", "vqvae"])
def test_measuring_leaves_the_model_and_the_random_numbers_alone(model: str) -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        made = app.build(compose("config", overrides=[f"model={model}", "device=cpu"]))
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    one, state = rates(made), torch.random.get_rng_state()
    one.measured()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in made.model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in made.model.modules())
    assert all(p.grad is None for p in made.model.parameters())


def test_a_timed_step_computes_no_gradient_that_the_training_loop_does_not() -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        one = rates(app.build(compose("config", overrides=["model=gan", "device=cpu"])))
    twin = copy.deepcopy(one.model).train()
    optimizers = {phase: one.parts.optim(twin.phase_parameters(phase)) for phase in twin.phases}
    for group in (group for optimizer in optimizers.values() for group in optimizer.param_groups):
        group["initial_lr"] = group["lr"]
    watched, watch = list[Tensor](), twin.penalties.watch

    def recorded(real: Tensor, fake: Tensor, *, step: int) -> tuple[Tensor, Tensor]:
        watched[:] = watch(real, fake, step=step)
        return watched[0], watched[1]

    with patch.object(twin.penalties, "watch", recorded):
        one.step(twin, optimizers, Stage(1.0, twin.phases))
    assert [(x.requires_grad, x.grad) for x in watched] == [(True, None)] * 2


def staged() -> StepRates:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return rates(app.build(compose("config", overrides=["model=latent_diffusion", "device=cpu"])))


def test_a_stage_counts_by_its_share_of_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stages of shares a and b at r and s images a second: 1 / (a / r + b / s)."""
    one = staged()
    first, second = one.model.stages
    seconds = iter([8.0, 4.0, 2.0, 1.0] * 2)  # of the first stage in fp32 and bf16, then of the second
    monkeypatch.setattr(one, "seconds", lambda step: next(seconds))
    found = one.measured()
    assert found["fp32"] == pytest.approx(8 / (first.share * 8 + second.share * 2))
    assert found["bf16"] == pytest.approx(2 * found["fp32"])


def test_a_load_that_comes_and_goes_moves_no_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn is as slow as the machine then is; one turn is disturbed between its sides."""
    monkeypatch.setattr("genbench.session.step_rate.TURNS", 5)
    one = rates(parts())
    turns = iter([(9.0, 9.0), (3.0, 2.0), (6.0, 4.0), (30.0, 20.0), (1.0, 9.0), (1.5, 1.0)])
    monkeypatch.setattr(one, "turn", lambda twin, optimizers: dict(zip(COMPARED, next(turns), strict=True)))
    found = one.measured()
    assert found["bf16"] / found["fp32"] == pytest.approx(1.5)
    assert found["fp32"] == pytest.approx(1 / 3)


def test_a_precision_for_which_memory_does_not_suffice_has_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    one = rates(parts())

    def seconds(step: Callable[[], None]) -> float:
        if not any(module._forward_pre_hooks for module in twins[-1].modules()):
            raise torch.OutOfMemoryError
        return 2.0

    twins: list[torch.nn.Module] = []
    monkeypatch.setattr(
        "genbench.session.step_rate.copy.deepcopy", lambda model: twins.append(model) or model
    )
    monkeypatch.setattr(one, "seconds", seconds)
    found = one.measured()
    assert found == {"fp32": 0.0, "bf16": 4.0}  # 8 images in 2 seconds
