"""A GPU's rules, without a GPU: no operation mixes devices, and read-backs to the host are a stated list.

torch's fake tensors compute shapes and devices only. A model's parameters and buffers become fake CUDA
tensors; plain attributes stay as they are, so that a tensor that should be a buffer mixes devices.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorDeviceMismatchError, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from genbench.generator import (
    Decodes,
    Edits,
    ForwardProcess,
    Generator,
    Inpaints,
    Latent,
    Likelihood,
    Trajectory,
)
from genbench.runtime.precision import BFloat16
from tests.test_contract import CLASSES, SHAPE, build

BATCH, CUDA = 4, torch.device("cuda", 0)

STATED = {
    "diffusion.spacing.NoiseSpacing.times": 4,  # two for each grid; varying an image lays two grids
    "diffusion.sampler.Sampler.path": 1,
    "diffusion.fast_samplers.TwoStep.walk": 1,
    "diffusion.fast_samplers.HeunSampler.walk": 1,
    "diffusion.fast_samplers.UniPC.walk": 1,
    "diffusion.density.ProbabilityFlow.grid": 2,
    "families.flow.finite": 2,  # one each way: a flow that has lost its inverse must not go on unseen
}
"""Read-backs of a call that samples or measures, at most, by the function that reads."""
STATED_OF_LOSSES = {
    "diffusion.pairing.OptimalTransport.pairs": 1,  # the assignment is solved on the host
    "flows.actnorm.ActNorm.initialise": 1,  # of each layer, at the first batch
    "families.flow.NormalizingFlow.check_inverse": 1,  # each model.check_every steps
}
"""Those of a loss; of a step that does no more than the others, the first alone."""
A_STEP = ("diffusion.ode.Adaptive.walk",)
"""What must know a number at each step: an error that sets the next step."""


def reader() -> str:
    """The function of genbench that is at work."""
    frame = inspect.currentframe()
    while frame is not None and not frame.f_globals["__name__"].startswith("genbench."):
        frame = frame.f_back
    assert frame is not None
    return f"{frame.f_globals['__name__'].removeprefix('genbench.')}.{frame.f_code.co_qualname}"


class ReadBacks(TorchDispatchMode):
    """Counts what is read off CUDA tensors, by who reads, and answers with some number: the call goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.products: set[torch.dtype] = set()

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        aten, kwargs = torch.ops.aten, kwargs or {}
        if func is aten._local_scalar_dense.default:
            self.note(args[0])
            return args[0].dtype == torch.bool or 0.25
        if func is aten.index.Tensor and args[1][0] is not None and args[1][0].dtype == torch.bool:
            self.note(args[0])  # the host must know how many are True
            return args[0]
        if func is aten._to_copy.default and kwargs.get("device") == torch.device("cpu"):
            self.note(args[0])
        out = func(*args, **kwargs)
        if func in (aten.convolution.default, aten.mm.default, aten.addmm.default):
            self.products.add(out.dtype)
        return out

    def note(self, x: Tensor) -> None:
        if x.device.type == "cuda":
            self.found[reader()] += 1

    def to_list(self, x: Tensor) -> list[float]:
        """Tensor.tolist in one read-back, where fake tensors are asked number by number."""
        self.note(x)
        return [1.0 + k for k in range(len(x))]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReadBacks]:
    """Fake tensors, and what of CUDA takes a driver replaced: backward passes, states of random numbers."""
    mode = ReadBacks()

    def slopes(
        outputs: Tensor, inputs: Tensor | Sequence[Tensor], *_: object, **__: object
    ) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(x) for x in ([inputs] if isinstance(inputs, Tensor) else inputs))

    monkeypatch.setattr(torch.autograd, "grad", slopes)
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: nullcontext())
    monkeypatch.setattr(FakeTensor, "tolist", lambda x: mode.to_list(x))
    with FakeTensorMode(allow_non_fake_inputs=True), mode:
        yield mode


def moved(model: Generator) -> Generator:
    """The model with its parameters and buffers, and nothing else, on the fake device."""
    for module in model.modules():
        for name, p in module._parameters.items():
            if p is not None:
                fake = torch.empty_like(p, device=CUDA)
                module._parameters[name] = nn.Parameter(fake, requires_grad=p.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty_like(buffer, device=CUDA)
    return model


class OneLayer(nn.Module):
    """A network of diffusion that costs little: (B, C, H, W), t (B,), y (B,) -> (B, answers C, H, W)."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.conv, self.label = nn.Conv2d(1, answers, 1), nn.Embedding(CLASSES + 1, 1)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        at = t if y is None else t + self.label(y)[:, 0]
        return self.conv(x) + at[:, None, None, None]


def with_one_layer(overrides: tuple[str, ...]) -> Generator:
    """A diffusion model by its options."""
    model = build(*overrides, *SMALL)
    x = torch.zeros(1, *SHAPE)
    y = torch.zeros(1, dtype=torch.int64) if model.num_classes else None
    with torch.no_grad():
        model.network = OneLayer(model.network(x, torch.ones(1), y).shape[1])
    model.process.adopt(model.network)
    return model


def images(model: Generator) -> tuple[Tensor, Tensor | None]:
    y = torch.empty(BATCH, dtype=torch.int64, device=CUDA) if model.num_classes else None
    return torch.empty(BATCH, *SHAPE, device=CUDA), y


def calls(model: Generator) -> dict[str, Callable[[], object]]:
    """All that a trained model is asked for."""
    x, y = images(model)
    found: dict[str, Callable[[], object]] = {"sample": lambda: model.sample(BATCH, y)}
    if isinstance(model, Likelihood):
        found["log_prob"] = lambda: model.log_prob(x, y)
    if isinstance(model, Decodes):
        found["decode"] = lambda: model.decode(model.prior(BATCH, y), y)
    if isinstance(model, Latent):
        found["encode"] = lambda: model.encode(x, y)
        found["reconstruct"] = lambda: model.reconstruct(x, y)
    if isinstance(model, Trajectory):
        found["trajectory"] = lambda: model.trajectory(BATCH, y, frames=3)
    if isinstance(model, ForwardProcess):
        found["forward_process"] = lambda: model.forward_process(x, frames=3)
    if isinstance(model, Inpaints):
        mask = torch.ones(BATCH, 1, *SHAPE[1:], dtype=torch.bool, device=CUDA)
        found["inpaint"] = lambda: model.inpaint(x, mask, y)
    if isinstance(model, Edits):
        found["vary"] = lambda: model.vary(x, y, strength=0.5)
    return found


@contextmanager
def at_most(reads: ReadBacks, stated: Mapping[str, int], what: str) -> Iterator[None]:
    """Within, nothing is read back but what is stated."""
    reads.found.clear()
    yield
    beyond = {who: n for who, n in reads.found.items() if who not in A_STEP and n > stated.get(who, 0)}
    assert beyond == {}, what


def check(model: Generator, reads: ReadBacks, uses: Sequence[str] = ()) -> None:
    """Two steps of training in all phases, and every use (or those named), with the stated read-backs."""
    model, layers = moved(model).train(), len(list(model.modules()))
    x, y = images(model)
    first = {who: n * layers for who, n in STATED_OF_LOSSES.items()}
    usual = dict(list(STATED_OF_LOSSES.items())[:1])
    for step, stated in ((0, first), (1, usual)):
        for phase in dict.fromkeys(model.phases):
            with at_most(reads, stated, f"loss of {phase}, step {step}"):
                total = model.loss(x, y, phase=phase, step=step).total
            assert total.device == CUDA
    model.eval()
    for what, call in calls(model).items():
        if uses and what not in uses:
            continue
        with at_most(reads, STATED, what), torch.no_grad():
            found = call()
        assert isinstance(found, Tensor)
        assert found.device == CUDA, what


DDPM = ("model=ddpm", "sampler.steps=2", "density.steps=2")
FLOW = ("model=flow_matching", "solver.steps=2", "model.process.density_steps=2")
SMALL = ("network.blocks=1", "network.multipliers=[1]", "network.width=8")
LABELS = ("conditional=true", "guidance=classifier_free")
OPTIONS = [
    DDPM,
    *((*DDPM, f"loss={name}") for name in ("huber", "hybrid")),
    (*DDPM, "loss=vlb", "times=importance"),
    (*DDPM, "loss=vlb", "schedule=learned", "schedule.width=4"),
    (*DDPM, "density=ode", "weighting=min_snr"),
    (*DDPM, *LABELS, "sampler=dpm_solver"),
    *((*DDPM, f"sampler={name}") for name in ("heun", "unipc")),
    (*DDPM, *LABELS, "guidance.interval=[0.2,0.8]"),
    (
        "model=ddpm",
        "process=binomial",
        "data.binarize=true",
        "process.steps=2",
        "process.terms=2",
    ),
    FLOW,
    (*FLOW, "solver=midpoint", "path_times=logit_normal", *LABELS, "guidance.interval=[0.2,0.8]"),
    ("model=flow_matching", "solver=adaptive", "solver.tolerance=0.5", "model.process.density_steps=2"),
    (*FLOW, "pairing=reflow", "pairing.solver.steps=2"),
    ("model=consistency", "process.steps=2"),
]
SLOW_OPTIONS = [
    *((*DDPM, f"schedule={name}") for name in ("linear", "sigmoid", "geometric", "edm", "zero_terminal")),
    *((*DDPM, f"parameterization={name}") for name in ("eps", "x0", "edm")),
    (*DDPM, "loss=l1"),
    (*DDPM, "loss=vlb", "times=uniform"),
    (*DDPM, "variance=beta", "times=lognormal", "schedule=edm"),
    (*DDPM, "weighting=bound"),
    *((*DDPM, *LABELS, f"sampler={name}") for name in ("ancestral", "ddim", "dpm_solver_sde")),
    (*FLOW, "solver=euler"),
]
"""The choices of diffusion, on a network of one layer."""


@pytest.mark.parametrize(
    "overrides",
    [*OPTIONS, *(pytest.param(option, marks=pytest.mark.slow) for option in SLOW_OPTIONS)],
    ids=lambda option: "-".join(option),
)
def test_diffusion_stays_on_the_device_whatever_is_chosen(
    overrides: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    model = with_one_layer(overrides)
    uses = ["sample", "log_prob"] if len(overrides) > 3 else []
    check(model, request.getfixturevalue("reads"), uses)


FAMILIES = [
    (*DDPM, *SMALL, "sampler.steps=1"),
    ("model=ddpm", "conditional=true", "guidance=classifier", "sampler.steps=1", *SMALL),
    ("model=latent_diffusion", "sampler.steps=1", *SMALL),
    ("model=latent_diffusion", "autoencoder=vq", "prior=flow_matching", "solver.steps=1", *SMALL),
    ("model=autoencoder", "conditional=true"),
    *(("model=vae", f"likelihood={name}") for name in ("gaussian", "bernoulli")),
    ("model=vae", "network=ladder", "conditional=true"),
    ("model=flow", "flow.steps=1"),
    ("model=flow", "flow.steps=1", "dequantization=variational", "base=student", "coupling=mixture"),
    ("model=gan", "criterion=wasserstein", "penalty=gradient", "conditional=true"),
    ("model=gan", "criterion=hinge", "penalty=r1", "augmentation=diffaugment"),
    ("model=gan", "network=resnet_gan", "network.discriminator.spectral_norm=true", "penalty=none"),
    ("model=gan", "network.discriminator.minibatch_std=true"),
]
SLOW = [
    ("model=autoencoder",),
    *(("model=vae", f"likelihood={name}") for name in ("logistic", "pointwise")),
    ("model=flow", "flow=realnvp", "network=coupling_resnet", "pixels=plain"),
    ("model=gan",),
    ("model=vqvae",),
    ("model=autoregressive", "network=pixelcnn"),
    ("model=autoregressive", "network=image_gpt", "pixel_law=palette", "conditional=true"),
    ("model=autoregressive", "network=image_gpt", "pixel_law=categorical"),
]


@pytest.mark.parametrize(
    "overrides",
    [*FAMILIES, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)],
    ids=lambda case: "-".join(case),
)
def test_families_stay_on_the_device(overrides: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    model = build(*overrides)
    check(model, request.getfixturevalue("reads"))


def test_optimal_transport_reads_its_costs_once_a_loss(request: pytest.FixtureRequest) -> None:
    model = with_one_layer((*FLOW, "pairing=optimal_transport"))
    reads = request.getfixturevalue("reads")
    model, (x, y) = moved(model), images(model)
    with pytest.raises(RuntimeError, match="numpy"):  # no numbers are in the costs
        model.loss(x, y)
    assert reads.found == {"diffusion.pairing.OptimalTransport.pairs": 1}


STEPPING = [
    *(("model=ddpm", f"sampler={name}") for name in ("dpm_solver", "heun", "unipc")),
    ("model=flow_matching", "solver=heun"),
    *(
        pytest.param(("model=ddpm", f"sampler={name}"), marks=pytest.mark.slow)
        for name in ("ancestral", "ddim", "dpm_solver_sde")
    ),
    *(
        pytest.param(("model=flow_matching", f"solver={name}"), marks=pytest.mark.slow)
        for name in ("euler", "midpoint")
    ),
]


@pytest.mark.parametrize("overrides", STEPPING, ids=lambda option: "-".join(option))
def test_no_step_of_a_sampler_is_read_back(
    overrides: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    """Twice as many steps have the same read-backs."""
    what = overrides[1].partition("=")[0]
    models = [with_one_layer((*overrides, f"{what}.steps={steps}")) for steps in (4, 8)]
    reads, found = request.getfixturevalue("reads"), []
    for model in models:
        reads.found.clear()
        moved(model).eval().sample(BATCH)
        found.append(dict(reads.found))
    assert found[0] == found[1]


def test_networks_multiply_in_bfloat16_and_answer_in_float32(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = with_one_layer(DDPM)
    reads = request.getfixturevalue("reads")
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    moved(model)
    BFloat16().apply(model.networks(), CUDA)
    check(model, reads)
    assert reads.products == {torch.bfloat16}


class Careless(OneLayer):
    """A tensor that is no buffer, or a question to the device."""

    def __init__(self, *, asks: bool) -> None:
        super().__init__(1)
        self.shift, self.asks = torch.ones(8), asks

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(x, t) if self.asks and bool(t[0] > 0) else super().forward(x + self.shift, t)


@pytest.mark.parametrize("asks", [False, True])
def test_a_network_that_breaks_the_rules_is_found(asks: bool, request: pytest.FixtureRequest) -> None:
    model = with_one_layer(DDPM)
    model.network = Careless(asks=asks)
    reads = request.getfixturevalue("reads")
    with pytest.raises((FakeTensorDeviceMismatchError, AssertionError), match="loss" if asks else "device"):
        check(model, reads)
