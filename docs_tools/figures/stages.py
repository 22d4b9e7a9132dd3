"""The modules that the figure of each family shows in training, and the symbols of what they take and return.

All else a figure takes from the model itself: which modules are called, the tensors between them, and, by its
abilities, how samples come about.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from docs_tools.figures.trace import Call
from genbench.diffusion.flow_matching import straight_level
from genbench.diffusion.gaussian import GaussianDiffusion
from genbench.families.diffusion import Denoising
from genbench.generator import Generator

__all__ = ["FAMILIES", "Shown", "Stages"]

Estimate = Callable[[Generator, Call], Tensor]


class Shown(NamedTuple):
    """A module in the row of a training phase.

    takes, gives: symbols of its input and its output; empty where it is not shown, or stands there already.
    output: which of its results. call: which of its passes. time: the symbol of the times beside its input.
    alone: nothing in the row leads to it. estimate: what follows from its answer, of symbol `estimates`.
    """

    module: str
    takes: str = ""
    gives: str = ""
    output: int = 0
    call: int = 0
    time: str = ""
    alone: bool = False
    estimates: str = ""
    estimate: Estimate | None = None


class Stages(NamedTuple):
    """The figure of one family: the modules of each training phase, and the networks that are opened.

    titles: phase -> what it trains. latent, data: the symbols of what samples start from,
    and of images.
    """

    training: Mapping[str, Sequence[Shown]]
    inside: Sequence[str]
    titles: Mapping[str, str] = {}
    latent: str = "$z$"
    data: str = "$x$"


def gaussian_x0(model: Generator, call: Call) -> Tensor:
    """Return x0_hat of the network's answer: call takes xt (B, C, H, W), t (B,) and gives the answer."""
    assert isinstance(model, Denoising)
    assert isinstance(model.process, GaussianDiffusion)
    xt, t = call.takes[:2]
    parameterization = model.process.parameterization
    at = parameterization.level(model.process.schedule, t)
    return parameterization.to_x0(parameterization.answer(call.gives[0], xt, at), xt, at)


def straight_x0(model: Generator, call: Call) -> Tensor:
    """Return xt + t network(xt, t), the end of a straight path: call takes xt (B, C, H, W) and t (B,)."""
    return call.takes[0] + straight_level(call.takes[1]).sigma * call.gives[0]


FAMILIES: Mapping[str, Stages] = {
    "ddpm": Stages(
        {
            "net": [
                Shown(
                    "network", "$x_t$", "$\\hat v$", time="t", estimates="$\\hat x_0$", estimate=gaussian_x0
                )
            ]
        },
        ["network"],
        latent="$x_1 = \\epsilon$",
        data="$x_0$",
    ),
    "flow_matching": Stages(
        {
            "net": [
                Shown("network", "$x_t$", "velocity", time="t", estimates="$\\hat x_0$", estimate=straight_x0)
            ]
        },
        ["network"],
        latent="$x_1 = \\epsilon$",
        data="$x_0$",
    ),
    "consistency": Stages(
        {
            "net": [
                Shown("network", "$x_s$", time="s", estimates="$f(x_s, s)$", estimate=straight_x0),
                Shown(
                    "network",
                    "$x_t$",
                    call=1,
                    time="t",
                    alone=True,
                    estimates="$f(x_t, t)$",
                    estimate=straight_x0,
                ),
            ]
        },
        ["network"],
        latent="$x_1 = \\epsilon$",
        data="$x_0$",
    ),
    "latent_diffusion": Stages(
        {
            "autoencoder": [
                Shown("autoencoder.network.encoder", gives="$\\mu, \\log \\sigma^2$"),
                Shown("autoencoder.network.decoder", "$z$", "mean of $p(x|z)$"),
            ],
            "net": [
                Shown("autoencoder.network.encoder"),
                Shown("prior_model.network", "$u_t$", "$\\hat v$", time="t"),
            ],
        },
        ["autoencoder.network.encoder", "prior_model.network"],
        {
            "autoencoder": "first stage: the autoencoder",
            "net": "second stage: the prior of the scaled latents u",
        },
        latent="$u_1 = \\epsilon$",
    ),
    "cascade": Stages(
        {
            "base_net": [Shown("base.network", "small $x_t$", "$\\hat v$", time="t")],
            "net": [Shown("network", "$x_t$ beside low", "$\\hat v$", time="t")],
        },
        ["base.network", "network"],
        {
            "base_net": "first stage: a diffusion of the small images",
            "net": "second stage: a diffusion of the images, given the small ones",
        },
        latent="$x_1 = \\epsilon$",
    ),
    "unclip": Stages(
        {
            "prior": [
                Shown("embedding.encoder", gives="f(x)"),
                Shown("prior_model.network", "$z_t$", "velocity", time="t"),
            ],
            "decoder": [
                Shown("embedding.encoder", gives="f(x)"),
                Shown("network", "$x_t$ beside z", "$\\hat v$", time="t"),
            ],
        },
        ["prior_model.network", "network"],
        {
            "prior": "first stage: a prior of the embeddings",
            "decoder": "second stage: a diffusion of the images, given their embeddings",
        },
        latent="$x_1 = \\epsilon$",
    ),
    "vae": Stages(
        {
            "net": [
                Shown("network.encoder", gives="$\\mu, \\log \\sigma^2$"),
                Shown("network.decoder", "$z$", "mean of $p(x|z)$"),
            ]
        },
        ["network.encoder", "network.decoder"],
    ),
    "autoencoder": Stages(
        {"net": [Shown("encoder", gives="$z$"), Shown("decoder", gives="mean of $p(x|z)$")]},
        ["encoder", "decoder"],
    ),
    "vqvae": Stages(
        {
            "autoencoder": [
                Shown("encoder", gives="$z_e$"),
                Shown("codebook", gives="codes $k$", output=1),
                Shown("decoder", gives="mean of $p(x|k)$"),
            ],
            "net": [Shown("encoder"), Shown("prior_model.network", "codes $k$", "$\\log p(k_i | k_{<i})$")],
        },
        ["encoder", "prior_model.network"],
        {
            "autoencoder": "first stage: encoder, codebook, decoder",
            "net": "second stage: the prior of the codes",
        },
        latent="no code yet",
    ),
    "flow": Stages(
        {"net": [Shown("dequantization", gives="$v = k + u$"), Shown("flow", gives="$z = f(v)$")]},
        ["flow"],
    ),
    "tarflow": Stages(
        {"net": [Shown("dequantization", gives="$v = k + u$"), Shown("flow", gives="$z = f(v)$")]},
        ["flow"],
    ),
    "gan": Stages(
        {
            "disc": [
                Shown("discriminator", "real $x$", "$D(x)$", alone=True),
                Shown("discriminator", "$G(z)$", "$D(G(z))$", call=1, alone=True),
            ],
            "gen": [
                Shown("generator", "$z$", "$G(z)$", alone=True),
                Shown("discriminator", gives="$D(G(z))$"),
            ],
        },
        ["generator", "discriminator"],
        {"disc": "the discriminator's step", "gen": "the generator's step"},
    ),
    "autoregressive": Stages(
        {"net": [Shown("network", gives="$p(x_i | x_{<i})$, a row a pixel")]},
        ["network"],
        latent="no pixel yet",
    ),
    "masked_diffusion": Stages(
        {"net": [Shown("network", "$x$, some masked", "$p(x_i | x_{seen})$, a row a pixel")]},
        ["network"],
        latent="all masked",
    ),
    "diffusers": Stages({}, [], latent="$\\epsilon$"),
}
"""Family -> what its figure shows; a family's name is that of its option in conf/model/."""
