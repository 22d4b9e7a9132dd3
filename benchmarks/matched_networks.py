"""Our networks at the sizes of the peers', so that both do the same work for an image."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import typer

from benchmarks.console import Row
from benchmarks.contenders import Contender, Ours, PeerContender, PeerNotInstalled, needs_library, peer
from benchmarks.peers.peer import Peer
from genbench.data import Gaussians, ImageData, prepare
from genbench.runtime.progress import Progress

__all__ = ["GROUPS", "NOISE", "Group", "comparison_rows", "group", "noise"]

IMAGES = 4096
NOISE = (
    "data=gaussians",
    "data.size=28",
    "data.classes=1",
    "data.shift=0",
    f"data.train={IMAGES}",
    "metrics=none",
)
"""Images of 28x28 that need no download: what they show does not change the speed."""


class Group(NamedTuple):
    """One family: configurations of ours at the size of the peers, and the peers."""

    ours: dict[str, Sequence[str]]
    """Overrides, by what is equal to the peers."""
    peers: dict[str, Callable[[], Peer]]
    batch_size: int
    """Of training, for everybody."""
    samples: int
    """Drawn at once."""


def ddpm_pytorch() -> Peer:
    """denoising-diffusion-pytorch as wide as diffusers' network; a batch in one part, which is faster."""
    from benchmarks.peers.ddpm_pytorch import DDPMPytorch

    return DDPMPytorch(width=20, parts=1)


VAE = [
    f"network.{part}.{size}"
    for part in ("encoder", "decoder")
    for size in ("width=24", "multipliers=[1,1,4]", "patch=2")
]

GROUPS = {
    "ddpm": Group(
        {
            "same size": [
                "model=ddpm",
                "network=unet",
                "network.width=32",
                "network.multipliers=[1,2,2]",
                "network.attention_side=7",
            ],
            "same parameters": ["model=ddpm", "network=unet_folded"],  # that of our preset for 28x28
        },
        {"diffusers": lambda: peer("diffusers"), "ddpm_pytorch": ddpm_pytorch},
        batch_size=64,
        samples=16,
    ),
    "vae": Group(
        {"same size": ["model=vae", "network.latent=16", *VAE]},
        {"pythae": lambda: peer("pythae")},
        batch_size=64,
        samples=256,
    ),
    "gan": Group(
        {
            "same size": [
                "model=gan",
                "criterion=non_saturating",
                "penalty=none",
                "model.latent_size=100",
                "network.generator.width=64",  # as the tutorial: whole vectors of 16 numbers
                "network.discriminator.width=64",
            ]
        },
        {"dcgan": lambda: peer("dcgan")},
        batch_size=128,
        samples=256,
    ),
    "flow": Group(
        {"same size": ["model=flow", "flow.levels=2", "flow.steps=16", "network.width=32"]},
        {"normflows": lambda: peer("normflows")},
        batch_size=128,
        samples=256,
    ),
}


def noise() -> ImageData:
    """The images that NOISE describes, as genbench stores them."""
    source = Gaussians(size=28, classes=1, shift=0, train=IMAGES)
    return prepare(source, progress=Progress(None))


def group(
    name: str, *, precision: str = "fp32", batch: int | None = None
) -> tuple[list[Ours], list[Contender]]:
    """Ours and the peers of a family on the same images; a line on stderr for a peer that is not installed.

    precision: of ours. batch: images of a step, None for as many as the family has.
    """
    wanted, data = GROUPS[name], noise()
    size = wanted.batch_size if batch is None else batch
    ours = [
        Ours(
            f"{name}, {equal}",
            [*overrides, *NOISE, f"trainer.batch_size={size}", f"precision={precision}"],
        )
        for equal, overrides in wanted.ours.items()
    ]
    peers: list[Contender] = []
    for who, make in wanted.peers.items():
        torch.manual_seed(0)
        try:
            with needs_library(who):
                peers.append(PeerContender(make(), data, progress=Progress(None), batch_size=size))
        except PeerNotInstalled as missing:
            typer.echo(str(missing), err=True)
    return ours, peers


def comparison_rows(
    ours: Sequence[Contender],
    peers: Sequence[Contender],
    rates: Sequence[float],
    work: Callable[[Contender], float],
) -> list[Row]:
    """A row for each of ours against each peer.

    rates: in images a second, ours first. work: operations of an image.
    """
    everybody = [*ours, *peers]
    cost = {who.name: work(who) for who in everybody}
    rate = dict(zip((who.name for who in everybody), rates, strict=True))
    return [
        {
            "ours": mine.name,
            "peer": theirs.name,
            "parameters": mine.parameters,
            "peer's": theirs.parameters,
            "MFLOP an image": cost[mine.name] / 1e6,
            "peer's MFLOP": cost[theirs.name] / 1e6,
            "images/s": rate[mine.name],
            "peer's images/s": rate[theirs.name],
            "ratio": rate[mine.name] / rate[theirs.name],
            "GFLOP/s": cost[mine.name] * rate[mine.name] / 1e9,
            "peer's GFLOP/s": cost[theirs.name] * rate[theirs.name] / 1e9,
        }
        for mine in ours
        for theirs in peers
    ]
