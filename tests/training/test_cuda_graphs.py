"""Training steps as CUDA graphs, as far as a CPU shows: where a graph would be launched, a stand-in computes
the recorded work anew, into the tensors of the recording and without what Python did beside it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from genbench import app
from genbench.contract.fake_cuda import CUDA, images, moved, reading
from genbench.data import Split
from genbench.generator import Generator
from genbench.nn.fast import conv_of_doubled
from genbench.runtime.global_batch import Part
from genbench.runtime.precision import Float16, Float32
from genbench.training import cuda_graphs, recipe_checks
from genbench.training.budget import Budget
from genbench.training.cuda_graphs import WARM_UP
from genbench.training.data_parallel import phase_losses
from genbench.training.loop import Recipe, Trainer
from genbench.training.lr_schedule import Constant, Cosine
from genbench.training.recipe_checks import check_cuda_graphs
from genbench.training.step import update
from tests.test_contract import build, config
from tests.toys import toy_model
from tests.training.test_loop import run, same

GAN = ("model=gan", "penalty=r1", "penalty.every=4")
SMALL = ("network.blocks=1", "network.multipliers=[1]", "network.width=8")
REPLAYABLE = [
    ("model=ddpm", *SMALL),
    ("model=ddpm", "times=importance", "loss=vlb", *SMALL),
    ("model=ddpm", "conditional=true", "guidance=classifier_free", "loss=hybrid", *SMALL),
    (
        "model=ddpm",
        "network=ddpm_pp",
        "network.width=8",
        "augmentation=edm",
        "schedule=edm",
        "times=lognormal",
    ),
    ("model=ddpm", "network=dit", "network.blocks=1", "text=small", "guidance=classifier_free"),
    ("model=flow_matching", "conditional=true", "guidance=classifier_free", *SMALL),
    ("model=vae",),
    (*GAN, "augmentation=diffaugment"),
    ("model=gan", "network=r3gan", "conditional=true"),
    ("model=flow", "flow.steps=1", "model.check_every=0"),
    ("model=autoregressive", "network=pixelcnn"),
    ("model=masked_diffusion", "network=masked_transformer"),
]
"""Models whose steps may be recorded, with the options that change what a step computes."""


class StandIn:
    """The graph of some work: a launch writes its numbers into the tensors that the recording returned, from
    the gradients that the weights had then, and leaves attributes of Python's as they are.

    optimizers: all whose weights and learning rates the work may change.
    """

    def __init__(self, work: Callable[[], Any], optimizers: Sequence[Optimizer]) -> None:
        self.work, self.groups = work, [group for each in optimizers for group in each.param_groups]
        self.weights: list[nn.Parameter] = [p for group in self.groups for p in group["params"]]
        self.gradients = [p.grad for p in self.weights]
        self.result, self.launched = work(), False

    def __call__(self) -> Any:
        if self.launched:  # a recording computes nothing by itself; here it was the first launch
            rates, gradients = [group["lr"] for group in self.groups], [p.grad for p in self.weights]
            self.set_gradients(self.gradients)
            new = self.work()
            for group, rate in zip(self.groups, rates, strict=True):
                group["lr"] = rate
            self.set_gradients(gradients)
            with torch.no_grad():
                for mine, value in zip(tree_leaves(self.result), tree_leaves(new), strict=True):
                    mine.copy_(value)
        self.launched = True
        return self.result

    def set_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the recordings so far, each of which a stand-in launches."""
    found: list[str] = []
    optimizers: dict[Optimizer, None] = {}  # those that made a step, as all do before they are recorded

    def stand_in(device: torch.device, work: Callable[[], Any]) -> Callable[[], Any]:
        found.append(work.__name__)
        return StandIn(work, list(optimizers))

    monkeypatch.setattr(cuda_graphs, "record_graph", stand_in)
    hook = register_optimizer_step_pre_hook(lambda each, args, kwargs: optimizers.setdefault(each))
    yield found
    hook.remove()


@pytest.fixture
def exact_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learning rates that float32 holds, in which graphs read them."""
    monkeypatch.setattr(Cosine, "factor", lambda schedule, images_seen, spent: 0.5 + (images_seen > 100) / 4)


def images_of(side: int) -> Split:
    stream = torch.Generator().manual_seed(0)
    return Split(torch.randint(0, 256, (40, 1, side, side), generator=stream, dtype=torch.uint8), None)


ADAM = partial(torch.optim.Adam, lr=2**-7, fused=True)


@pytest.mark.parametrize(("make", "side"), [(toy_model, 4), (partial(build, *GAN), 8)], ids=["ddpm", "gan"])
def test_recorded_steps_give_the_same_numbers_bit_for_bit(
    make: Callable[[], Generator], side: int, tmp_path: Path, recorded: list[str], exact_rates: None
) -> None:
    plain, graphed = (
        run(
            tmp_path / str(graphs),
            model=make(),
            split=images_of(side),
            optim=ADAM,
            budget=32 * 15,
            cuda_graphs=graphs,
            clip_norm=0.1,
        )
        for graphs in (False, True)
    )
    assert same(plain, graphed)
    kinds = len(graphed.model.phases) * (2 if graphed.model.period > 1 else 1)
    assert sorted(recorded) == sorted(["work", "capturable_work"] * kinds)


def test_losses_norms_and_rates_of_a_step_remain_while_later_steps_are_launched(recorded: list[str]) -> None:
    def steps(*, graphs: bool) -> list[Any]:
        model = toy_model()
        optimizer = ADAM(model.parameters())
        optimizer.param_groups[0]["initial_lr"] = 2**-7
        loss = phase_losses(model, {"net": list(model.parameters())}, 1)["net"]
        backward, update = cuda_graphs.steps_of(model, torch.device("cpu"), graphs=graphs)
        found: list[Any] = []
        for step in range(WARM_UP + 4):
            torch.manual_seed(step)
            total, terms = backward(loss, torch.randn(4, 1, 4, 4), None, step=step, part=Part(0, 1))
            norm = update(optimizer, 2.0**-step, None, total.detach())
            assert all(p.grad is None for p in model.parameters())
            found.append((total.detach(), terms, norm, optimizer.param_groups[0]["lr"]))
        return found

    plain, graphed = steps(graphs=False), steps(graphs=True)
    assert recorded == ["work", "capturable_work"]
    assert tree_leaves(graphed) == tree_leaves(plain)


def test_a_resumed_training_with_graphs_equals_a_straight_one_bit_for_bit(
    tmp_path: Path, recorded: list[str]
) -> None:
    straight = run(tmp_path / "straight", cuda_graphs=True)
    run(tmp_path / "parts", stop_at=208, cuda_graphs=True)
    assert same(straight, run(tmp_path / "parts", model=toy_model(seed=1), cuda_graphs=True))


@pytest.mark.parametrize("first", [False, True])
def test_a_checkpoint_with_graphs_resumes_without_and_the_other_way_round(
    first: bool, tmp_path: Path, recorded: list[str], exact_rates: None
) -> None:
    straight = run(tmp_path / "straight", optim=ADAM)
    run(tmp_path / "parts", stop_at=208, optim=ADAM, cuda_graphs=first)
    assert same(straight, run(tmp_path / "parts", optim=ADAM, cuda_graphs=not first))


def test_the_first_steps_are_not_recorded(tmp_path: Path, recorded: list[str]) -> None:
    run(tmp_path, cuda_graphs=True, budget=16 * WARM_UP)
    assert recorded == []


def test_an_update_without_fused_kernels_is_refused(tmp_path: Path, recorded: list[str]) -> None:
    with pytest.raises(ValueError, match="Adam works without fused kernels"):
        run(tmp_path, cuda_graphs=True, optim=partial(torch.optim.Adam, lr=1e-3))


def test_the_log_and_checkpoints_have_learning_rates_as_numbers(tmp_path: Path, recorded: list[str]) -> None:
    trained = run(tmp_path, cuda_graphs=True)
    assert recorded
    for optimizer in trained.optimizers.values():
        assert [type(group["lr"]) for group in optimizer.param_groups] == [float]
        assert not any(group["capturable"] for group in optimizer.param_groups)


class Trace(TorchDispatchMode):
    """The operations of a step with their numbers, and those that copy from the host, as no graph can."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's has no annotations
        self.steps: list[str] = []
        self.from_host: list[str] = []

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        out = func(*args, **(kwargs or {}))
        if "prim.device" not in str(func):
            shown = torch.utils._pytree.tree_map(self.shown, (args, kwargs))
            self.steps.append(f"{func} {shown}")
            inputs = [
                each for each in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(each, Tensor)
            ]
            if on_gpu(out) and any(not on_gpu(each) for each in inputs):
                self.from_host.append(self.steps[-1])
        return out

    def shown(self, value: object) -> object:
        """A tensor by its shape and kind, and everything else as it is."""
        if isinstance(value, Tensor):
            return tuple(value.shape), str(value.dtype), str(value.device)
        return value


def on_gpu(value: object) -> bool:
    return any(
        isinstance(each, Tensor) and each.device == CUDA for each in torch.utils._pytree.tree_leaves(value)
    )


@pytest.mark.parametrize("overrides", REPLAYABLE, ids=lambda case: "-".join(case))
def test_steps_of_a_replayable_model_are_alike_on_the_device_and_in_place(overrides: tuple[str, ...]) -> None:
    model = build(*overrides)
    model.check_replayable()
    with reading() as reads:
        x, y = images(moved(model).train())
        for phase in dict.fromkeys(model.phases):  # the first step may do more, such as ActNorm
            model.loss(x, y, phase=phase, step=0)
        reads.found.clear()
        buffers = dict(model.named_buffers())
        for phase in dict.fromkeys(model.phases):
            for rare in {False, model.period > 1}:
                traces = [
                    traced(model, x, y, phase, step=model.period * k + (not rare), spent=k / 1000)
                    for k in (WARM_UP, 17, 999)
                ]
                assert traces[0].from_host == []
                assert traces[0].steps == traces[1].steps == traces[2].steps
        assert reads.found == {}
        assert all(buffer is buffers[name] for name, buffer in model.named_buffers())


def traced(model: Generator, x: Tensor, y: Any, phase: str, *, step: int, spent: float) -> Trace:
    model.begin_step(spent)
    with Trace() as trace:
        model.loss(x, y, phase=phase, step=step)
    return trace


def test_an_update_reads_nothing_back_and_copies_nothing_from_the_host() -> None:
    weights = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2, 2))]
    with reading() as reads:
        fakes = [nn.Parameter(torch.empty_like(weight, device=CUDA)) for weight in weights]
        optimizer = torch.optim.Adam(fakes, lr=0.1, fused=True)
        optimizer.param_groups[0]["initial_lr"] = 0.1
        for weight in fakes:
            weight.grad = torch.empty_like(weight)
        with Trace() as trace, patch.object(optimizer, "step"):  # its kernel has no fake form
            update(optimizer, torch.ones((), device=CUDA), 1.0, torch.ones((), device=CUDA), None, 400.0)
        assert (reads.found, trace.from_host) == ({}, [])


def test_a_convolution_of_doubled_maps_copies_nothing_from_the_host() -> None:
    conv = nn.Conv2d(2, 2, 3, padding=1)
    with reading():
        conv.weight, conv.bias = (nn.Parameter(torch.empty_like(p, device=CUDA)) for p in conv.parameters())
        with Trace() as trace:
            conv_of_doubled(torch.empty(1, 2, 8, 8, device=CUDA), conv)
    assert trace.steps
    assert trace.from_host == []


REFUSED = [
    (("model=ddpm", *SMALL), {"device": "cpu"}, "cpu is no GPU"),
    (("model=ddpm", *SMALL), {"accumulate": 2}, "trainer.accumulate=2"),
    (("model=ddpm", *SMALL), {"processes": 2}, "in 2 processes .* without torchrun"),
    (("model=ddpm", *SMALL), {"optim": torch.optim.NAdam}, "NAdam .* optim=adam, .* optim.fused=true"),
    (("model=ddpm", *SMALL), {"optim": partial(torch.optim.Adam, fused=False)}, "optim.fused=true"),
    (("model=ddpm", *SMALL), {"precision": "fp16"}, "precision=fp16"),
    (("model=consistency", *SMALL), {}, "steps of Consistency"),
    (("model=flow_matching", "pairing=optimal_transport", *SMALL), {}, "pairing=independent"),
    (("model=vae", "model.warmup_steps=100"), {}, "model.warmup_steps=100"),
    (("model=flow",), {}, "model.check_every=0"),
    (("model=vqvae",), {}, "not known to be alike"),
]


@pytest.mark.parametrize(("overrides", "settings", "why"), REFUSED, ids=lambda case: str(case)[:40])
def test_what_cannot_be_recorded_is_refused_before_any_work(
    overrides: tuple[str, ...], settings: dict[str, Any], why: str
) -> None:
    device, lowered = settings.get("device", "cuda"), "precision" in settings
    accumulate, processes = settings.get("accumulate", 1), settings.get("processes", 1)
    precision = Float16() if lowered else Float32()

    def check(*, graphs: bool) -> None:
        trainer = Trainer(cuda_graphs=graphs, accumulate=accumulate)
        recipe = Recipe(trainer, settings.get("optim", ADAM), Constant(), Budget(images=64))
        check_cuda_graphs(build(*overrides), recipe, precision, torch.device(device), processes=processes)

    with pytest.raises(ValueError, match=why) as error:
        check(graphs=True)
    assert "trainer.cuda_graphs" in str(error.value)
    check(graphs=False)


def test_the_processes_that_torchrun_starts_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts one on each of two machines, where trainer.devices is 1 and each process is alone."""
    counts = list[int]()

    def check(*parts: object, processes: int) -> None:
        counts.append(processes)

    monkeypatch.setattr(recipe_checks, "check_cuda_graphs", check)
    app.build(config("model=ddpm", *SMALL))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "any")
    monkeypatch.setenv("WORLD_SIZE", "2")
    app.build(config("model=ddpm", *SMALL))
    assert counts == [1, 2]
