"""Scaling of the loss under float16, against torch's GradScaler and against float32."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from genbench.contract.fake_cuda import CUDA, reading
from genbench.runtime.precision import Float16, LossScaling
from genbench.training.loss_scale import LossScaler, loss_scalers, overflow_summary
from genbench.training.step import update
from tests.test_contract import build
from tests.toys import toy_model
from tests.training.test_loop import run, same

CPU = torch.device("cpu")
FINITE = torch.tensor(1.0)


def optimizer_of(weight: nn.Parameter, *, fused: bool = True) -> torch.optim.Optimizer:
    optimizer = torch.optim.Adam([weight], lr=0.1, fused=fused)
    optimizer.param_groups[0]["initial_lr"] = 0.1
    return optimizer


@pytest.mark.parametrize("fused", [True, False])
def test_weights_and_scale_are_those_of_torchs_scaler(fused: bool) -> None:
    """40 updates, some of whose gradients overflow, with clipping; torch's scaler as its manual has it."""
    draws = torch.Generator().manual_seed(0)
    gradients = [torch.randn(5, generator=draws) for _ in range(40)]
    for number in (0, 1, 7, 20):
        gradients[number][2] = torch.inf if number % 2 else torch.nan
    ours, theirs = (nn.Parameter(torch.ones(5)) for _ in range(2))
    settings = LossScaling(init_scale=1024.0, growth_interval=3)
    scaler, reference = LossScaler(settings, CPU), torch.amp.GradScaler("cpu", 1024.0, growth_interval=3)
    optimizers = [optimizer_of(weight, fused=fused) for weight in (ours, theirs)]
    scales = []
    for gradient in gradients:
        (ours * gradient).sum().mul(scaler.scale).backward()
        update(optimizers[0], 1.0, 1.0, FINITE, scaler)
        reference.scale((theirs * gradient).sum()).backward()
        reference.unscale_(optimizers[1])
        nn.utils.clip_grad_norm_([theirs], 1.0)
        reference.step(optimizers[1])
        reference.update()
        optimizers[1].zero_grad()
        assert float(scaler.scale) == reference.get_scale()
        scales.append(float(scaler.scale))
    assert torch.equal(ours, theirs)
    assert min(scales) == 256.0 < max(scales)  # it fell at the first two, and grew
    assert int(scaler.overflows) == 4


def test_an_overflow_skips_the_update_halves_the_scale_and_counts() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer, scaler = optimizer_of(weight), LossScaler(LossScaling(8.0), CPU)
    weight.grad = torch.tensor([torch.inf, 0, 0])
    assert float(update(optimizer, 1.0, 1.0, FINITE, scaler)) == 0.0  # nothing moved
    assert weight.tolist() == [1, 1, 1]
    assert scaler.state() == {"scale": 4.0, "streak": 0, "overflows": 1}
    assert overflow_summary(1, 20).startswith("1 of 20 updates were skipped: their gradient overflowed")


def test_a_loss_that_is_not_finite_is_no_overflow() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer, scaler = optimizer_of(weight), LossScaler(LossScaling(8.0), CPU)
    weight.grad = torch.full((3,), torch.nan)
    assert not update(optimizer, 1.0, None, torch.tensor(torch.nan), scaler).isfinite()
    assert weight.tolist() == [1, 1, 1]
    assert scaler.state() == {"scale": 8.0, "streak": 0, "overflows": 0}


def test_an_overflow_at_the_least_scale_has_an_infinite_norm() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer, scaler = optimizer_of(weight), LossScaler(LossScaling(2.0), CPU)
    norms = []
    for _ in range(2):
        weight.grad = torch.full((3,), torch.inf)
        norms.append(float(update(optimizer, 1.0, None, FINITE, scaler)))
    assert norms == [0.0, torch.inf]
    assert float(scaler.scale) == 1.0


def test_the_scale_does_not_grow_beyond_float32() -> None:
    scaler = LossScaler(LossScaling(2.0**127, growth_interval=1), CPU)
    for _ in range(3):
        scaler.update(FINITE, FINITE)
    assert float(scaler.scale) == 2.0**127


def test_scaling_keeps_gradients_that_float16_would_lose() -> None:
    """Gradients of 1e-9 at a product's result are 0 in float16, whose least number is 6e-8."""
    gradients: list[Tensor] = []
    for precision, scaled in ((None, False), (Float16(), False), (Float16(), True)):
        torch.manual_seed(0)
        network, x = nn.Linear(8, 8), torch.randn(4, 8)
        if precision is not None:
            precision.apply([network], CPU)
        scaler = LossScaler(LossScaling(), CPU)
        (network(x).sum() * 1e-9 * (scaler.scale if scaled else 1.0)).backward()
        assert network.weight.grad is not None
        if scaled:
            scaler.unscale([network.weight.grad])
        gradients.append(network.weight.grad)
    exact, lost, kept = gradients
    assert not lost.any()
    assert torch.allclose(kept, exact, rtol=2e-3)


def test_nothing_is_read_back_by_an_update() -> None:
    with reading() as reads:
        weight = nn.Parameter(torch.ones(3, device=CUDA))
        weight.grad = torch.ones(3, device=CUDA)
        optimizer, scaler = optimizer_of(weight), LossScaler(LossScaling(), CUDA)
        update(optimizer, 1.0, None, torch.ones((), device=CUDA), scaler)
    assert reads.found == {}


@pytest.mark.parametrize(
    ("override", "phases"), [("model=gan", ["gen"]), ("model=flow", []), ("model=vae", ["net"])]
)
def test_phases_whose_networks_stay_in_float32_have_no_scale(override: str, phases: list[str]) -> None:
    assert list(loss_scalers(LossScaling(), build(override), CPU)) == phases
    assert loss_scalers(None, build(override), CPU) == {}


in_fp16 = partial(run, precision=Float16(init_scale=2.0**40, growth_interval=4))


def test_a_training_whose_first_gradients_overflow_goes_on_and_counts_them(tmp_path: Path) -> None:
    trained = in_fp16(tmp_path)
    lines = (tmp_path / "metrics.jsonl").read_text()
    assert trained.finished
    assert trained.overflows > 5
    assert f'"overflows": {trained.overflows}' in lines
    assert '"net/loss_scale": 549755813888.0' in lines  # after the first update


def test_a_training_in_float16_resumes_bit_for_bit_and_goes_on_counting(tmp_path: Path) -> None:
    straight = in_fp16(tmp_path / "straight")
    assert not in_fp16(tmp_path / "parts", stop_at=208).finished
    resumed = in_fp16(tmp_path / "parts", model=toy_model(seed=1))
    assert same(straight, resumed)
    assert straight.scalers["net"].state() == resumed.scalers["net"].state()


def test_accumulated_parts_are_scaled_as_the_whole_batch(tmp_path: Path) -> None:
    sgd = partial(torch.optim.SGD, lr=0.01, fused=True)
    whole, parts = (
        run(tmp_path / str(k), precision=Float16(), accumulate=k, optim=sgd, budget=64) for k in (1, 4)
    )
    for a, b in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_a_gradient_that_overflows_at_every_scale_stops_with_a_remedy(tmp_path: Path) -> None:
    model = toy_model()
    next(model.network.parameters()).register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(FloatingPointError, match="overflows float16 at the least loss scale: use bf16") as it:
        run(tmp_path, model=model, precision=Float16(init_scale=4.0))
    assert "at step 2: loss=" in str(it.value)
    assert "loss_scale=1" in str(it.value)


def test_skipping_batches_does_not_count_overflows_as_such(tmp_path: Path) -> None:
    trained = in_fp16(tmp_path, on_nonfinite="skip")
    assert trained.overflows > 5
    assert trained.skips.total == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"init_scale": 1000.0}, "init_scale is 1000.0; it must be a power of two"),
        ({"init_scale": float("inf")}, "must be a power of two"),
        ({"init_scale": 1.0, "min_scale": 2.0}, "min_scale is 2.0; it must be at most precision.init_scale"),
        ({"growth_interval": 0}, "growth_interval is 0; it must be at least 1"),
    ],
)
def test_impossible_scales_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossScaling(**settings)  # type: ignore[arg-type]


def test_a_precision_without_scaling_leaves_no_trace(tmp_path: Path) -> None:
    trained = run(tmp_path)
    assert trained.scalers == {}
    assert "overflows" not in (tmp_path / "metrics.jsonl").read_text()
    assert "loss_scales" not in torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)
