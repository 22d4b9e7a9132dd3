"""On a GPU: training of the U-Net of Ho et al. 2020 for CIFAR-10 beside the peers', sampling by each family.

`python -m benchmarks.gpu`; images are random bytes, so that nothing is downloaded.
"""

import gc
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Annotated

import torch
import typer
from torch import Tensor

from benchmarks.console import Announcer, Out, Rounds, Table, show
from benchmarks.contenders import Contender, Ours, PeerContender, PeerNotInstalled, needs_library
from benchmarks.fair_timing import medians, seconds
from benchmarks.images import RandomImages, temporary_cache
from benchmarks.machine import best, products
from benchmarks.peers.peer import Peer
from genbench.data import prepare
from genbench.metrics import peak_memory_bytes, reset_peak_memory
from genbench.runtime.progress import Progress
from genbench.session.estimate import Stopwatch
from genbench.training.budget import Budget
from genbench.training.loop import Trainer

__all__ = ["FAMILIES", "UNET", "main", "ours", "peers", "sampling", "theirs", "training"]

SHAPE = (3, 32, 32)
IMAGES = 2000
UNET = ("experiment=cifar10_ddpm_ho2020", "metrics=none")
LIKE_IT = ("data=cifar10", "network=unet_ho2020", "metrics=none")
FAMILIES = {
    "ddpm, DDIM of 50 steps": [*UNET, "sampler=ddim", "sampler.steps=50"],
    "flow matching": ["model=flow_matching", *LIKE_IT],
    "consistency": ["model=consistency", *LIKE_IT],
    "vae": ["experiment=cifar10_vae", "metrics=none"],
    "gan": ["experiment=cifar10_gan", "metrics=none"],
    "flow": ["experiment=cifar10_flow", "metrics=none"],
    "autoregressive": ["experiment=cifar10_autoregressive", "metrics=none"],
}
PRECISIONS = ("fp32", "bf16")
LINES = 4  # of the log in a turn

Timed = Ours | PeerContender


def main(
    batch: Annotated[int, typer.Option(min=1, help="Batch size of training.")] = 128,
    steps: Annotated[int, typer.Option(min=LINES, help="Steps of training in a turn.")] = 100,
    rounds: Rounds = 3,
    samples: Annotated[int, typer.Option(min=1, help="Number of samples of each family.")] = 10_000,
    at_once: Annotated[int, typer.Option(min=1, help="Batch size of sampling.")] = 1000,
    device: Annotated[str, typer.Option(help="cuda, or another device of torch.")] = "cuda",
    out: Out = None,
) -> None:
    """Train by turns in each precision, then draw by each family, and print tables."""
    where = torch.device(device)
    if where.type == "cuda" and not torch.cuda.is_available():
        raise typer.BadParameter(
            "torch finds no GPU; choose another device",
            param_hint="--device",
        )
    peak = best(products(where, torch.bfloat16, 8192), where, spent=1.0, rounds=3)
    with temporary_cache():
        tables = [
            training(
                ours(UNET, where, batch, steps, compiles=(False, True) if can_compile() else (False,)),
                theirs(peers(where), where, batch),
                where,
                peak=peak,
                steps=steps,
                rounds=rounds,
            ),
            sampling(FAMILIES, where, samples=samples, at_once=at_once),
        ]
    show(tables, out)


def peers(device: torch.device, *, width: int = 128) -> dict[str, Callable[[], Peer]]:
    """Constructors of the peers' own U-Nets of the paper, 35.7 M parameters each at width 128."""

    def diffusers() -> Peer:
        from benchmarks.peers.diffusers import Diffusers, cifar_network

        return Diffusers(cifar_network(width).to(device))

    def ddpm_pytorch() -> Peer:
        from benchmarks.peers.ddpm_pytorch import DDPMPytorch

        return DDPMPytorch(width=width // 2, multipliers=(1, 2, 4, 8), shape=SHAPE, parts=1, device=device)

    return {"diffusers": diffusers, "ddpm_pytorch": ddpm_pytorch}


def training(
    mine: Mapping[str, Callable[[], Ours]],
    others: Mapping[str, Callable[[], PeerContender]],
    device: torch.device,
    *,
    peak: float,
    steps: int,
    rounds: int,
) -> Table:
    """Training speed of ours and of the peers by turns.

    mine, others: constructors by name. peak: of bf16 products, in operations a second. steps: of a turn.
    """
    makes = {**mine, **others}
    announcer, met, memory = Announcer(len(makes)), {}, {}
    for name, make in makes.items():
        announcer.begin(name)
        try:
            met[name], memory[name] = warm_up(make, device)
        except PeerNotInstalled as missing:
            typer.echo(str(missing), err=True)
    works = [partial(rate, who, device, steps) for who in met.values()]
    rates = dict(zip(met, medians(works, rounds), strict=True))
    work = {who.name: who.training_work() for who in met.values() if "compiled" not in who.name}
    rows = [
        {
            "who": name,
            "parameters": who.parameters,
            "batch": who.batch_size,
            "images/s": rates[name],
            "TFLOP/s": reached / 1e12,
            "share of the bf16 peak": reached / peak,
            "peak memory, MiB": memory[name] / 2**20,
        }
        for name, who in met.items()
        for reached in [rates[name] * work[who.name.removesuffix(", compiled")]]
    ]
    notes = (
        f"Images of 3x32x32. Peak of square bf16 products: {peak / 1e12:.4g} TFLOP/s.",
        "The peers' bf16 is autocast around their step. Memory: of each alone, with its weights.",
    )
    return Table(f"Training on {describe(device)}", rows, notes)


def can_compile() -> bool:
    """True where this version of genbench has trainer.compile."""
    return "compile" in inspect.signature(Trainer).parameters


def ours(
    unet: Sequence[str], device: torch.device, batch: int, steps: int, *, compiles: Sequence[bool]
) -> dict[str, Callable[[], Ours]]:
    """Constructors of ours in each precision, compiled or not, by name."""
    makes: dict[str, Callable[[], Ours]] = {}
    for precision, compiled in product(PRECISIONS, compiles):
        words = [*unet, f"precision={precision}", f"trainer.batch_size={batch}"]
        words += [f"trainer.log_every_images={steps // LINES * batch}", *["trainer.compile=true"] * compiled]
        name = f"ddpm {precision}{', compiled' * compiled}"
        makes[name] = partial(Ours, name, words, device=device, source=RandomImages(IMAGES, SHAPE))
    return makes


def theirs(
    others: Mapping[str, Callable[[], Peer]], device: torch.device, batch: int
) -> dict[str, Callable[[], PeerContender]]:
    """Constructors of the peers in each precision, by name."""

    def fed(name: str, make: Callable[[], Peer], precision: str) -> PeerContender:
        data = prepare(RandomImages(IMAGES, SHAPE), progress=Progress(None))
        with needs_library(name):
            peer = make() if precision == "fp32" else Autocast(make(), device)
        return PeerContender(peer, data, progress=Progress(None), batch_size=batch, device=device)

    return {
        f"{name} {precision}": partial(fed, name, make, precision)
        for name, make in others.items()
        for precision in PRECISIONS
    }


class Autocast(Peer):
    """A peer whose training steps and samples run under bf16 autocast."""

    def __init__(self, peer: Peer, device: torch.device) -> None:
        self.peer, self.device = peer, device
        self.name, self.batch_size = f"{peer.name} bf16", peer.batch_size
        self.parameters = peer.parameters

    def train_step(self, images: Tensor) -> None:
        with torch.autocast(self.device.type, torch.bfloat16):
            self.peer.train_step(images)

    def sample(self, n: int) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.peer.sample(n)


def warm_up(make: Callable[[], Timed], device: torch.device) -> tuple[Timed, int]:
    """Construct a contender and train it for a second; also its peak memory in bytes."""
    gc.collect()
    reset_peak_memory(device)
    held = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    who = make()
    who.train(1.0)
    return who, peak_memory_bytes(device) - held


def rate(who: Timed, device: torch.device, steps: int) -> float:
    """Training speed of one turn in images a second, to the end of the work on the device."""
    if isinstance(who, Ours):
        return logged_rate(who, steps)
    return steps * who.batch_size / seconds(partial(take_steps, who, device, steps))


def take_steps(who: PeerContender, device: torch.device, steps: int) -> None:
    """Train a peer for some steps, and wait for the device."""
    for _ in range(steps):
        who.step()
    wait(device)


def logged_rate(who: Ours, steps: int) -> float:
    """Images a second between the first line of the log, before which networks compile, and the last.

    Each line of the log reads values from the device, so its time includes all work before it.
    """
    watch = Stopwatch()
    with who.session(Budget(images=steps * who.batch_size)) as session:
        who.trained(session, watch)
    (first, begun), (last, ended) = watch.times[0], watch.times[-1]
    return (last - first) / (ended - begun)


def wait(device: torch.device) -> None:
    """Wait until the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def sampling(
    families: Mapping[str, Sequence[str]], device: torch.device, *, samples: int, at_once: int
) -> Table:
    """Seconds of drawing `samples` images by each family, with the weights of one training step."""
    announcer, rows = Announcer(len(families)), []
    for name, overrides in families.items():
        announcer.begin(name)
        who = Ours(name, overrides, device=device, source=RandomImages(IMAGES, SHAPE))
        who.train(1e-3)
        who.sample(at_once)  # chooses kernels
        passed = seconds(partial(draw, who, samples, at_once, device))
        rows.append(
            {"family": name, "parameters": who.parameters, "seconds": passed, "images/s": samples / passed}
        )
    return Table(f"{samples:,} samples of 3x32x32 on {describe(device)}, {at_once} at once", rows)


def draw(who: Contender, samples: int, at_once: int, device: torch.device) -> None:
    """Draw images in batches of `at_once`, and wait for the device."""
    for start in range(0, samples, at_once):
        who.sample(min(at_once, samples - start))
    wait(device)


def describe(device: torch.device) -> str:
    """The name of the GPU, or of the device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


if __name__ == "__main__":
    typer.run(main)
