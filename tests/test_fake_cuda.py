"""A GPU's rules, without a GPU: no operation mixes devices, and read-backs to the host are a stated list."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorDeviceMismatchError

from genbench.contract.fake_cuda import CUDA, images, moved, of_training, of_uses, reading, unstated_reads
from genbench.generator import Generator
from genbench.runtime.precision import BFloat16
from tests.test_contract import CLASSES, SHAPE, build


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


def check(model: Generator, uses: Sequence[str] = ()) -> None:
    """Two steps of training in all phases, and every use (or those named), with the stated read-backs."""
    assert unstated_reads(model, uses) == {}


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
    (*DDPM, "process=variance_exploding"),
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
    *((*DDPM, f"parameterization={name}") for name in ("eps", "x0", "edm", "score", "mean")),
    (*DDPM, "loss=l1"),
    (*DDPM, "loss=vlb", "times=uniform"),
    (*DDPM, "variance=beta", "times=lognormal", "schedule=edm"),
    *((*DDPM, f"weighting={name}") for name in ("bound", "eps")),
    *((*DDPM, *LABELS, f"sampler={name}") for name in ("ancestral", "ddim", "dpm_solver_sde", "langevin")),
    (*FLOW, "solver=euler"),
]
"""The choices of diffusion, on a network of one layer."""


@pytest.mark.parametrize(
    "overrides",
    [*OPTIONS, *(pytest.param(option, marks=pytest.mark.slow) for option in SLOW_OPTIONS)],
    ids=lambda option: "-".join(option),
)
def test_diffusion_stays_on_the_device_whatever_is_chosen(overrides: tuple[str, ...]) -> None:
    check(with_one_layer(overrides), ["sample", "log_prob"] if len(overrides) > 3 else [])


FAMILIES = [
    (*DDPM, *SMALL, "sampler.steps=1"),
    (*DDPM, *SMALL, "sampler.steps=1", "text=small", "guidance=classifier_free"),
    ("model=ddpm", "conditional=true", "guidance=classifier", "sampler.steps=1", *SMALL),
    (*DDPM, "network=dit", "network.blocks=1", "sampler.steps=1", "text=small", "guidance=classifier_free"),
    (*DDPM, "network=ddpm_pp", "network.width=8", "sampler.steps=1", "augmentation=edm"),
    ("model=latent_diffusion", "sampler.steps=1", *SMALL),
    ("model=latent_diffusion", "autoencoder=vq", "prior=flow_matching", "solver.steps=1", *SMALL),
    ("model=cascade", "sampler.steps=1", "density.steps=2", *SMALL),
    ("model=autoencoder", "conditional=true"),
    ("model=consistency", "process=mean_flow", "conditional=true", "process.scale=2.0", *SMALL),
    *(("model=vae", f"likelihood={name}") for name in ("gaussian", "bernoulli")),
    ("model=vae", "network=ladder", "conditional=true"),
    ("model=vae", "network=deep_ladder", "network.layers=1", "likelihood=mixture", "conditional=true"),
    ("model=latent_diffusion", "autoencoder=vq_gan", "adversarial.start=0", "sampler.steps=1", *SMALL),
    ("model=flow", "flow.steps=1"),
    ("model=flow", "flow.steps=1", "dequantization=variational", "base=student", "coupling=mixture"),
    ("model=gan", "criterion=wasserstein", "penalty=gradient", "conditional=true"),
    ("model=gan", "criterion=hinge", "penalty=r1", "augmentation=diffaugment"),
    ("model=masked_diffusion", "network=masked_transformer", "unmasking=ancestral", "unmasking.steps=1"),
    ("model=gan", "network=resnet_gan", "network.discriminator.spectral_norm=true", "penalty=none"),
    ("model=gan", "network.discriminator.minibatch_std=true"),
    ("model=gan", "network=r3gan", "conditional=true"),
]
SLOW = [
    ("model=unclip", "sampler.steps=1", "solver.steps=1", *SMALL),
    (*FLOW, *SMALL, "text=small", "guidance=classifier_free"),
    ("model=latent_diffusion", "sampler.steps=1", *SMALL, "text=small"),
    ("model=autoencoder",),
    ("model=cascade", "base_model=gan", "sampler.steps=1", *SMALL),
    *(("model=vae", f"likelihood={name}") for name in ("logistic", "pointwise")),
    ("model=flow", "flow=realnvp", "network=coupling_resnet", "pixels=plain"),
    ("model=tarflow", "dequantization=gaussian", "flow.layers=2", *LABELS),
    ("model=gan",),
    ("model=vqvae",),
    ("model=vqvae", "prior_network=masked"),
    ("model=masked_diffusion", "unmasking.steps=1", *LABELS),
    ("model=autoregressive", "network=pixelcnn"),
    ("model=autoregressive", "network=pixelcnn_pp"),
    ("model=autoregressive", "network=image_gpt", "pixel_law=palette", "conditional=true"),
    ("model=autoregressive", "network=image_gpt", "pixel_law=categorical"),
]


@pytest.mark.parametrize(
    "overrides",
    [*FAMILIES, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)],
    ids=lambda case: "-".join(case),
)
def test_families_stay_on_the_device(overrides: tuple[str, ...]) -> None:
    check(build(*overrides))


def test_optimal_transport_reads_its_costs_once_a_loss() -> None:
    model = with_one_layer((*FLOW, "pairing=optimal_transport"))
    with reading() as reads:
        x, y = images(moved(model))
        with pytest.raises(RuntimeError, match="numpy"):  # no numbers are in the costs
            model.loss(x, y)
    assert reads.found == {"diffusion.pairing.OptimalTransport.pairs": 1}


STEPPING = [
    *(("model=ddpm", f"sampler={name}") for name in ("dpm_solver", "heun", "unipc")),
    ("model=flow_matching", "solver=heun"),
    *(
        pytest.param(("model=ddpm", f"sampler={name}"), marks=pytest.mark.slow)
        for name in ("ancestral", "ddim", "dpm_solver_sde", "langevin", "predictor_corrector")
    ),
    *(
        pytest.param(("model=flow_matching", f"solver={name}"), marks=pytest.mark.slow)
        for name in ("euler", "midpoint")
    ),
]


@pytest.mark.parametrize("overrides", STEPPING, ids=lambda option: "-".join(option))
def test_no_step_of_a_sampler_is_read_back(overrides: tuple[str, ...]) -> None:
    """Twice as many steps have the same read-backs."""
    what = overrides[1].partition("=")[0]
    models = [with_one_layer((*overrides, f"{what}.steps={steps}")) for steps in (4, 8)]
    found = []
    for model in models:
        with reading() as reads:
            moved(model).eval().sample(4)
        found.append(dict(reads.found))
    assert found[0] == found[1]


def test_networks_multiply_in_bfloat16_and_answer_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    model = with_one_layer(DDPM)
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    BFloat16().apply(model.networks(), CUDA)
    with reading() as reads:
        assert of_training(model, reads) == of_uses(model, reads, ()) == {}
    assert reads.products == {torch.bfloat16}


class Careless(OneLayer):
    """A tensor that is no buffer, or a question to the device."""

    def __init__(self, *, asks: bool) -> None:
        super().__init__(1)
        self.shift, self.asks = torch.ones(8), asks

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(x, t) if self.asks and bool(t[0] > 0) else super().forward(x + self.shift, t)


@pytest.mark.parametrize("asks", [False, True])
def test_a_network_that_breaks_the_rules_is_found(asks: bool) -> None:
    model = with_one_layer(DDPM)
    model.network = Careless(asks=asks)
    with pytest.raises((FakeTensorDeviceMismatchError, AssertionError), match="loss" if asks else "device"):
        check(model)
