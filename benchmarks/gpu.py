"""On a GPU, in ten minutes: training of the networks of Ho et al. 2020 and of EDM for CIFAR-10 beside the
peers', and samples, features and checkpoints. Images are random bytes, so that nothing is downloaded.

`python -m benchmarks.gpu --out gpu.md`: parts in the order of their importance; the file is written after
each row, and a row that fails says why. `--device cpu --toy` tries all of it on small networks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

import torch
import typer

from benchmarks.console import Out, Row, chosen
from benchmarks.gpu_other import (
    REPORTED,
    checkpoint_rows,
    feature_rows,
    layout_rows,
    peak_rows,
    process_rows,
    sampling_rows,
)
from benchmarks.gpu_report import Part, Report
from benchmarks.gpu_training import GRAPHS, Setting, equal_rows, mine, peer_rows, tf32
from benchmarks.images import temporary_cache
from genbench.runtime.device import make_repeatable

__all__ = ["CIFAR", "PARTS", "TOY", "Models", "main", "parts", "toy"]


@dataclass(frozen=True)
class Models:
    """The configurations that are measured, as overrides: the networks of Ho et al. and of EDM, a DiT-S/2,
    one for two cards, what is drawn from, and what is trained with graphs and without.
    """

    ho: Sequence[str]
    edm: Sequence[str]
    dit: Sequence[str]
    two_cards: Sequence[str]
    families: Mapping[str, Sequence[str]]
    equal: Mapping[str, Sequence[str]]


HO = ("experiment=cifar10_ddpm_ho2020",)
EDM = ("experiment=cifar10_edm",)
LIKE_HO = ("data=cifar10", "network=unet_ho2020")
CIFAR = Models(
    ho=HO,
    edm=EDM,
    dit=("model=flow_matching", "data=cifar10", "network=dit_s"),
    two_cards=(
        "model=ddpm",
        "network=unet",
        "network.width=128",
        "trainer.batch_size=512",
        "budget.images=50000",
    ),
    families={
        "ddpm, DDIM of 50 steps": (*HO, "sampler=ddim", "sampler.steps=50"),
        "EDM, Heun of 18 steps": EDM,
        "flow matching": ("model=flow_matching", *LIKE_HO),
        "consistency": ("model=consistency", *LIKE_HO),
        "vae": ("experiment=cifar10_vae",),
        "gan": ("experiment=cifar10_gan",),
        "flow": ("experiment=cifar10_flow",),
        "autoregressive": ("experiment=cifar10_autoregressive",),
    },
    equal={
        "ddpm": ("data=cifar10", "model=ddpm", "network=unet"),
        "gan, a penalty every 4th step": ("data=cifar10", "model=gan", "penalty=r1", "penalty.every=4"),
    },
)
SMALL = ("data=cifar10", "model=ddpm", "network.width=8", "network.multipliers=[1,1]")
TOY = Models(
    ho=SMALL,
    edm=("data=cifar10", "model=ddpm", "network=ddpm_pp", "network.width=8", "augmentation=edm"),
    dit=("data=cifar10", "model=flow_matching", "network=dit", "network.width=16", "network.blocks=1"),
    two_cards=("model=ddpm", "network.width=8", "budget.images=512"),
    families={
        "ddpm": (*SMALL, "sampler.steps=2"),
        "gan": ("data=cifar10", "model=gan", "network.generator.width=8"),
    },
    equal={"ddpm": SMALL},
)
"""The smallest of each kind, for a CPU."""
COMPILED = ("trainer.compile=true",)
TRAINING_NOTES = (
    "Each alone, one after the other: the median over the lines of its log but the first. Memory: the peak.",
    "Operations are those of products, convolutions, attention. The peers' bf16 is autocast around a step.",
)
PARTS = (
    *("peak", "equal", "unet", "edm", "compiled", "batches", "sampling", "layout", "dit", "features"),
    *("checkpoints", "processes", "compiled_more"),
)


def main(
    names: Annotated[
        str, typer.Option("--parts", help=f"Comma-separated, of {', '.join(PARTS)}; default: all.")
    ] = "",
    minutes: Annotated[float, typer.Option(min=0.01, help="Minutes after which no row is begun.")] = 9.0,
    device: Annotated[str, typer.Option(help="cuda, or another device of torch.")] = "cuda",
    small: Annotated[bool, typer.Option("--toy", help="Small networks and few images.")] = False,
    out: Out = None,
) -> None:
    """Measure the parts one after the other, and print each table when it is finished; exit code 1 where
    nothing could be measured.
    """
    asked, where = chosen(names, PARTS, "--parts"), torch.device(device)
    if where.type == "cuda" and not torch.cuda.is_available():
        raise typer.BadParameter("torch finds no GPU; choose another device", param_hint="--device")
    report = Report(out, minutes)
    make_repeatable(where)  # as every run does
    with temporary_cache():
        for part in parts(toy(where) if small else Setting(where), TOY if small else CIFAR):
            if part.name in asked:
                report.add(part)
    if all("failed" in row or row in REPORTED for table in report.tables for row in table.rows):
        typer.echo("no row has numbers: each says why it failed, or the time was spent", err=True)
        raise typer.Exit(code=1)


def toy(device: torch.device) -> Setting:
    """Return a setting that takes seconds on a CPU."""
    quick = Setting(device, lines=3, least_steps=1, images=1, seconds=0.05, samples=3, at_once=2)
    return replace(quick, batches=(2, 4), width=32, size=64)


def parts(setting: Setting, models: Models) -> Iterator[Part]:
    """Yield the parts, the most important ones first; those after the first know the peak that it found,
    where it was measured.
    """
    found: dict[str, float] = {}

    def peaks() -> Iterator[Row]:
        for row in peak_rows(setting):
            if isinstance(rate := row.get("TFLOP/s"), float):
                found[str(row["who"])] = rate * 1e12
            yield row
        yield from REPORTED

    where = describe(setting.device)
    yield Part("peak", f"Peak of {where}, and training speeds that others report", peaks)
    setting = replace(setting, peak=found.get("products, bf16"))
    few, some, many = setting.batches[0], setting.batches[1], setting.batches
    trainings = {
        "unet": ("U-Net of Ho et al. 2020", partial(unet_rows, setting, models.ho, few)),
        "compiled": ("compiled", partial(compiled_rows, setting, models.ho, few)),
        "compiled_more": ("compiled, others", partial(more_compiled_rows, setting, models, few, some)),
        "batches": ("by batch size", partial(batch_rows, setting, models.ho, many)),
        "edm": ("DDPM++ of EDM", partial(network_rows, setting, "EDM", models.edm, some)),
        "dit": ("DiT-S/2 of 256 tokens", partial(network_rows, setting, "DiT-S/2", models.dit, some)),
    }
    others = {
        "equal": ("Steps with graphs and without", partial(equal_rows, setting, models.equal)),
        "sampling": (f"{setting.samples:,} samples", partial(sampling_rows, setting, models.families)),
        "layout": ("Group norms and convolutions by layout", partial(layout_rows, setting)),
        "features": ("Inception's features of 3x32x32", partial(feature_rows, setting, many)),
        "checkpoints": ("Stall by checkpoints", partial(checkpoint_rows, setting, models.edm, few)),
        "processes": ("Two processes", partial(process_rows, setting, models.two_cards)),
    }
    for name in PARTS[1:]:
        if name in trainings:
            title, rows = trainings[name]
            yield Part(name, f"Training on {where}: {title}", rows, TRAINING_NOTES)
        else:
            title, rows = others[name]
            yield Part(name, f"{title}, on {where}", rows)


def unet_rows(setting: Setting, overrides: Sequence[str], batch: int) -> Iterator[Row]:
    """Train the U-Net in bf16 and in fp32, without a compiler, then the peers'."""
    yield mine(setting, "ddpm bf16", overrides, batch)
    yield mine(setting, "ddpm bf16, graphs", (*overrides, *GRAPHS), batch)
    yield from peer_rows(setting, batch)
    for name, on in {"as it is": None, "with TF32": True, "without TF32": False}.items():
        with tf32(on):
            yield mine(setting, f"ddpm fp32 {name}", overrides, batch, precision="fp32")
    # As many parameters as the paper's and the peers' have.
    yield mine(setting, "ddpm bf16, graphs, 36 M", (*overrides, *GRAPHS, *narrower(overrides)), batch)


def narrower(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the width at which our network of Ho et al. has the paper's number of parameters."""
    return ("network.width=120",) if overrides == HO else ()


def compiled_rows(setting: Setting, overrides: Sequence[str], batch: int) -> Iterator[Row]:
    """Train the U-Net by torch.compile, with graphs."""
    yield mine(setting, "ddpm bf16, compiled, graphs", (*overrides, *COMPILED, *GRAPHS), batch)


def more_compiled_rows(setting: Setting, models: Models, few: int, some: int) -> Iterator[Row]:
    """Train the U-Net by torch.compile without graphs, and the other networks with them."""
    yield mine(setting, "ddpm bf16, compiled", (*models.ho, *COMPILED), few)
    yield mine(setting, "EDM bf16, compiled, graphs", (*models.edm, *COMPILED, *GRAPHS), some)
    yield mine(setting, "DiT-S/2 bf16, compiled, graphs", (*models.dit, *COMPILED, *GRAPHS), some)


def batch_rows(setting: Setting, overrides: Sequence[str], batches: Sequence[int]) -> Iterator[Row]:
    """Train the U-Net with batches of several sizes, in bf16 with graphs."""
    for batch in batches[1:]:
        yield mine(setting, "ddpm bf16, graphs", (*overrides, *GRAPHS), batch)


def network_rows(setting: Setting, name: str, overrides: Sequence[str], batch: int) -> Iterator[Row]:
    """Train another network in bf16, with graphs, then without."""
    yield mine(setting, f"{name} bf16, graphs", (*overrides, *GRAPHS), batch)
    yield mine(setting, f"{name} bf16", overrides, batch)


def describe(device: torch.device) -> str:
    """Return the name of the GPU, or of the device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


if __name__ == "__main__":
    typer.run(main)
