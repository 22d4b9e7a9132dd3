"""Two real processes train as one does: gradients are averaged by torch's engine, whatever the family, in
float32 or up to the rounding of bfloat16.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from genbench.data import ImageData, Split
from genbench.diffusion.guidance import ClassifierFree
from genbench.errors import Lost
from genbench.generator import Generator, Loss
from genbench.runtime.context import Context
from genbench.runtime.global_batch import Part
from genbench.runtime.launcher import launcher
from genbench.runtime.processes import ALONE, Processes, joined
from genbench.tracking import Tracker
from genbench.training.budget import Budget
from genbench.training.checkpoint import CheckpointStore
from genbench.training.data_parallel import PhaseLoss, backward, backward_parts, phase_losses
from genbench.training.loop import Hooks, Recipe, Trainer, train
from genbench.training.lr_schedule import Constant
from genbench.training.step import held, others, read_captions
from tests.test_contract import MODELS, TEXT, build
from tests.toys import toy_process, toy_text_model

STEPS, BATCH = 6, 8
CRITICAL = (
    ("model=autoregressive", "network=pixelcnn_pp", "network.dropout=0.2"),  # scales by the first batch
    ("model=consistency", "process=mean_flow", "conditional=true", "process.scale=2.0"),  # forward mode
    ("model=ddpm", "conditional=true", "guidance=classifier"),  # two stages
    ("model=gan", "criterion=wasserstein", "penalty=gradient", "model.critic_steps=2"),  # double backward
    ("model=vae", "adversarial=patch", "adversarial.start=0"),  # gradients of two losses in the forward pass
    ("model=gan", "network=resnet_gan", "network.discriminator.spectral_norm=true", "penalty=none"),
)


class Sparse(Generator):
    """Two phases; a layer of the first gets a gradient in every other step alone, another one never."""

    phases = ("first", "second")

    def __init__(self) -> None:
        super().__init__((1, 8, 8))
        torch.manual_seed(0)
        self.layers = nn.ModuleDict({name: nn.Linear(64, 1) for name in ("always", "odd", "never", "second")})

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "first", step: int = 0) -> Loss:
        names = ["second"] if phase == "second" else ["always", "odd"] if step % 2 else ["always"]
        rows = x.flatten(1)
        return Loss(sum(self.layers[name](rows).square().mean() for name in names), {})

    def sample(self, n: int, y: Tensor | None = None, *, rng: torch.Generator | None = None) -> Tensor:
        raise AssertionError("nothing is drawn here")

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        own = {"first": ("always", "odd", "never"), "second": ("second",)}[phase]
        return [p for name in own for p in self.layers[name].parameters()]


class Losses(Tracker):
    """Every value of the log but times."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def log(self, values: Mapping[str, float], *, images_seen: int) -> None:
        self.seen += [values[name] for name in sorted(values) if name.endswith(("/loss", "/grad_norm"))]

    def image(self, name: str, path: Path, *, images_seen: int) -> None:
        """Draw nothing."""

    def summary(self, values: Mapping[str, float | str | None]) -> None:
        """Sum up nothing."""

    def state(self) -> dict[str, Any]:
        return {}

    def finish(self, status: str) -> None:
        """Close nothing."""


def losses(
    model: Generator,
    folder: Path,
    processes: Processes,
    accumulate: int,
    gradients: Literal["fp32", "bf16"] = "fp32",
) -> list[float]:
    """The losses and gradient norms of a few steps, and the losses on validation images after each."""
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 1, 8, 8), generator=rng, dtype=torch.uint8)
    labels = torch.randint(10, (40,), generator=rng)
    captions = [("top", "bottom", "a top", "on the bottom")[label % 4] for label in labels.tolist()]
    split = Split(images, labels, captions=captions)
    data = ImageData("toy", split, split, tuple("0123456789"), 10, True, "key", (1, 8, 8)).divided(0.25)
    read_captions(model, data)
    tracker = Losses()
    sizes = Trainer(batch_size=BATCH, accumulate=accumulate, gradients=gradients)
    trainer = replace(sizes, log_every_images=1, validate_every_images=1)
    budget = Budget(images=BATCH * STEPS * len(model.phases))
    train(
        model,
        data,
        Recipe(trainer, partial(torch.optim.Adam, lr=1e-3), Constant(), budget),
        Hooks(tracker, lambda model, images_seen: None, lambda model: {}),
        checkpoints=CheckpointStore(folder / "checkpoints"),
        checkpoint=None,
        context=Context(torch.device("cpu"), processes=processes),
    )
    return tracker.seen


def makers(which: str) -> list[Callable[[], Generator]]:
    """Functions that make the models of one test: every family and what is hard for the engine, or a toy."""
    if which == "toy":
        return [Sparse, partial(toy_text_model, side=8, process=toy_process(guidance=ClassifierFree(0)))]
    families = (*((f"model={name}",) for name in MODELS), *CRITICAL, *TEXT)
    return [partial(build, *words) for words in families]


def process(path: str, folder: str, which: str) -> None:
    sys.path[:] = json.loads(path)
    with joined(torch.device("cpu")) as processes:
        for number, make in enumerate(makers(which)):
            for accumulate in (1, 2):
                place = Path(folder, f"{number}-{accumulate}")
                one = losses(make(), place / f"alone-{processes.index}", ALONE, accumulate)
                two = losses(make(), place / "together", processes, accumulate)
                if processes.first:
                    (place / "losses.json").write_text(json.dumps([one, two]))


@pytest.mark.parametrize("which", ["toy", pytest.param("families", marks=pytest.mark.slow)])
def test_two_processes_have_the_losses_and_gradient_norms_of_one(tmp_path: Path, which: str) -> None:
    launcher(2, process, tmp_path.name)(json.dumps(sys.path), str(tmp_path), which)
    found = sorted(tmp_path.rglob("losses.json"))
    assert found
    for path in found:
        one, two = json.loads(path.read_text())
        assert len(one) >= STEPS
        assert two == pytest.approx(one, rel=1e-4, abs=1e-6), path.parent.name  # sums in another order


def gradients(x: Tensor, processes: Processes, accumulate: int, *, in_bf16: bool | None) -> list[Tensor]:
    """The gradients of the toy's first phase on the process's share of x (B, 1, 8, 8), as torch's engine
    leaves them, or without the engine where in_bf16 is None.
    """
    model = Sparse()
    learned = {phase: model.phase_parameters(phase) for phase in model.phases}
    loss = phase_losses(model, learned, 1 if in_bf16 is None else 2, in_bf16=bool(in_bf16))["first"]
    batch, parts = (processes.rows(x), None), processes.parts(accumulate)
    with held(others(learned, "first")):
        backward_parts(backward, loss, batch, parts, step=1, buffers=[])
    return [p.grad for p in learned["first"] if p.grad is not None]


def batch_of_noise() -> Tensor:
    return torch.randn(BATCH, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("phase", ["disc", "gen"])
def test_no_gradient_is_computed_for_the_images_of_a_penalty_and_those_of_weights_are_the_same(
    phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, watched = build("model=gan").train(), list[Tensor]()
    watch = model.penalties.watch

    def recorded(real: Tensor, fake: Tensor, *, step: int) -> tuple[Tensor, Tensor]:
        watched[:] = watch(real, fake, step=step)
        return watched[0], watched[1]

    monkeypatch.setattr(model.penalties, "watch", recorded)
    learned = {name: model.phase_parameters(name) for name in model.phases}
    found = []
    for loss in (PhaseLoss(model, phase, {phase: learned[phase]}), phase_losses(model, learned, 1)[phase]):
        torch.manual_seed(0)
        model.zero_grad()
        with held(others(learned, phase)):
            backward(loss, batch_of_noise(), None, step=0, part=Part(0, 1))
        found.append([p.grad for p in learned[phase]])
        if phase == "disc":  # the list of what learns is what spares it
            assert [x.grad is None for x in watched] == [len(found) == 2] * 2
    assert all(map(torch.equal, *found))


def test_weights_that_are_frozen_or_thawed_after_the_start_learn_as_they_then_are() -> None:
    model = Sparse()
    always, odd = model.layers["always"].weight, model.layers["odd"].weight
    odd.requires_grad_(False)
    learned = {phase: model.phase_parameters(phase) for phase in model.phases}
    loss = phase_losses(model, learned, 1)["first"]
    odd.requires_grad_(True)
    always.requires_grad_(False)
    with held(others(learned, "first")):
        backward(loss, batch_of_noise(), None, step=1, part=Part(0, 1))
    assert always.grad is None
    assert odd.grad is not None


def test_a_loss_of_which_no_weight_of_its_phase_learns_takes_its_gradient_elsewhere() -> None:
    model = Sparse()
    learned = {phase: model.phase_parameters(phase) for phase in model.phases}
    x = batch_of_noise().requires_grad_()
    with held(learned["first"]):
        backward(phase_losses(model, learned, 1)["first"], x, None, step=0, part=Part(0, 1))
    assert x.grad is not None


class Disconnected(torch.autograd.Function):
    """The identity, whose backward pass fails as torch's engine does where another process is gone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer")


def test_a_process_that_is_gone_is_lost_in_the_backward_pass_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Sparse()
    learned = {phase: model.phase_parameters(phase) for phase in model.phases}
    found = model.loss(batch_of_noise())
    monkeypatch.setattr(model, "loss", lambda x, y, *, phase, step: Loss(cut(found.total), {}))
    with pytest.raises(Lost, match="Connection closed by peer"):
        backward(phase_losses(model, learned, 1)["first"], batch_of_noise(), None, step=0, part=Part(0, 1))


def cut(total: Tensor) -> Tensor:
    """Return the same number, with a backward pass that fails."""
    found: Tensor = Disconnected.apply(total)  # type: ignore[no-untyped-call]  # of torch
    return found


@pytest.fixture
def group_of_one() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.usefixtures("group_of_one")
def test_gradients_sent_in_bf16_are_rounded_once_their_parts_are_added_up(accumulate: int) -> None:
    x = batch_of_noise()
    whole = gradients(x, ALONE, accumulate, in_bf16=None)
    assert all(map(torch.equal, gradients(x, ALONE, accumulate, in_bf16=False), whole))
    sent = gradients(x, ALONE, accumulate, in_bf16=True)
    assert len(sent) == len(whole) == 4  # weight and bias of two layers
    assert all(torch.equal(s, w.bfloat16().float()) for s, w in zip(sent, whole, strict=True))
    assert not any(map(torch.equal, sent, whole))


class Unclaimed(Sparse):
    """With a weight that learns and is of no phase."""

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        return [p for p in super().phase_parameters(phase) if p is not self.layers["always"].bias]


@pytest.mark.usefixtures("group_of_one")
def test_torchs_engine_has_the_gradients_of_weights_of_no_phase_too() -> None:
    model = Unclaimed()
    learned = {phase: model.phase_parameters(phase) for phase in model.phases}
    loss = phase_losses(model, learned, 2)["first"]
    for step in range(3):  # it raises at the step after one that it waits for
        with held(others(learned, "first")):
            backward(loss, batch_of_noise(), None, step=step, part=Part(0, 1))
    assert learned["first"][0].grad is not None


def process_in_bf16(path: str, folder: str) -> None:
    sys.path[:] = json.loads(path)
    x = batch_of_noise()
    with joined(torch.device("cpu")) as processes:
        for accumulate in (1, 2):
            own, other = (gradients(half, ALONE, accumulate, in_bf16=None) for half in x.chunk(2))
            sent = gradients(x, processes, accumulate, in_bf16=True)
            for mean, a, b in zip(sent, own, other, strict=True):
                assert torch.equal(mean, mean.bfloat16().float())
                # Rounding to 8 bits moves a number by 2^-8 of it at most: each process's, and then the sum.
                bound = 2.0**-7 * (1 + 2.0**-8) * (a.abs() + b.abs()) / 2
                assert bool(((mean - (a + b) / 2).abs() <= bound).all())
        for number, make in enumerate(makers("toy")):
            place = Path(folder, str(number))
            full = losses(make(), place / "fp32", processes, 1)
            half = losses(make(), place / "bf16", processes, 1, "bf16")
            assert half != full
            # The gradient is off by 2^-7 of the processes' own, which cancel to no less than half of that;
            # so is Adam's step, whose whole effect on these losses is smaller than they are.
            assert half == pytest.approx(full, rel=2.0**-6)


@pytest.mark.slow  # two processes load all libraries
def test_two_processes_average_gradients_in_bf16_up_to_its_rounding(tmp_path: Path) -> None:
    launcher(2, process_in_bf16, tmp_path.name)(json.dumps(sys.path), str(tmp_path))
