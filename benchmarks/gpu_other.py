"""On a GPU beside training: peaks of the device, samples, features, checkpoints, two cards."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, count, pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from benchmarks.commands import run_to_end
from benchmarks.console import Row
from benchmarks.contenders import Ours, needs_library
from benchmarks.gpu_report import attempt
from benchmarks.gpu_training import PUBLISHED_PEAK, Setting, source, tf32, wait
from benchmarks.machine import best, products
from genbench.nn.fast import GroupNorm
from genbench.session.estimate import Stopwatch
from genbench.training.budget import Budget

__all__ = [
    "REPORTED",
    "checkpoint_rows",
    "feature_rows",
    "layout_rows",
    "peak_rows",
    "process_rows",
    "sampling_rows",
]

REPORTED: list[Row] = [
    {"who": "MeanFlow's code, with its Jacobian product", "device": "H200", "images/s": 610.0},
    {"who": "flow_matching", "device": "4090D", "images/s": 306.0},
    {"who": "EDM", "device": "V100", "images/s": 145.0},
    {"who": "below it something is wrong, not compiled", "device": "H200", "images/s": 1200.0},
    {"who": "below it something is wrong, compiled", "device": "H200", "images/s": 4000.0},
]
"""Training speeds on CIFAR-10 that others report, and limits for ours."""


def peak_rows(setting: Setting) -> Iterator[Row]:
    """Measure square products of each kind, of bf16, TF32 and fp32."""
    kinds = {
        "bf16": (torch.bfloat16, None),
        "fp32, TF32": (torch.float32, True),
        "fp32": (torch.float32, False),
    }

    def work(dtype: torch.dtype, on: bool | None) -> Row:
        with tf32(on):
            spent = min(1.0, setting.seconds / 10)
            rate = best(products(setting.device, dtype, setting.size), setting.device, spent=spent, rounds=1)
        return {"TFLOP/s": rate / 1e12, "of 989 TFLOP/s": rate / PUBLISHED_PEAK}

    for name, (dtype, on) in kinds.items():
        yield attempt(f"products, {name}", partial(work, dtype, on))


def sampling_rows(setting: Setting, families: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    """Draw by each family with the weights of one training step, as many samples as the time allows."""

    def work(name: str, overrides: Sequence[str]) -> Row:
        words = [*overrides, "metrics=none", "precision=bf16"]
        who = Ours(name, words, device=setting.device, source=source())
        who.train(1e-3)
        who.sample(min(8, setting.at_once))  # loads kernels; a batch of some families takes long
        wait(setting.device)
        done, passed = repeated(lambda: who.sample(setting.at_once), setting, setting.samples)
        rate = done / passed
        return {
            "parameters, M": who.parameters / 1e6,
            "drawn": done,
            "images/s": rate,
            "s for all": setting.samples / rate,
        }

    for name, overrides in families.items():
        yield attempt(name, partial(work, name, overrides))


def feature_rows(setting: Setting, batches: Sequence[int]) -> Iterator[Row]:
    """Extract Inception's features of random images, with random weights, which cost the same time."""

    def work(batch: int) -> Row:
        with needs_library("torch_fidelity"):
            from benchmarks.evaluation import Weights, images
        with TemporaryDirectory() as folder:
            extractor = Weights(Path(folder)).ours.to(setting.device)
        x = images(batch, 0).to(setting.device)
        with torch.no_grad():
            extractor(x)
            wait(setting.device)
            done, passed = repeated(lambda: extractor(x), setting, 50 * batch, each=batch)
        return {"batch": batch, "images/s": done / passed}

    for batch in batches:
        yield attempt(f"Inception, {batch} at once", partial(work, batch))


def repeated(
    work: Callable[[], object], setting: Setting, wanted: int, *, each: int | None = None
) -> tuple[int, float]:
    """Repeat work on `each` images (at_once) until `wanted` are done or the time of a row is spent; returns
    images and seconds.
    """
    begun = time.perf_counter()
    for n in count(1):
        work()
        wait(setting.device)
        done, passed = n * (each or setting.at_once), time.perf_counter() - begun
        if done >= wanted or passed > setting.seconds:
            break
    return done, passed


def checkpoint_rows(setting: Setting, overrides: Sequence[str], batch: int) -> Iterator[Row]:
    """Train with a checkpoint every second, and with none on the way; a checkpoint's stall is what the
    longest time between two lines of the log has beyond the median one.
    """

    def work(every: float) -> Row:
        steps = 4 * setting.steps(batch)
        words = [*overrides, "precision=bf16", "metrics=none", f"trainer.batch_size={batch}"]
        words += [f"trainer.checkpoint_every_seconds={every}", f"trainer.log_every_images={4 * batch}"]
        who, watch = Ours("checkpoints", words, device=setting.device, source=source()), Stopwatch()
        with who.session(Budget(images=steps * batch)) as session:
            who.trained(session, watch)
        gaps = [end - begun for (_, begun), (_, end) in pairwise(watch.times)][1:]
        usual, longest = median(gaps), max(gaps)
        return {
            "every, s": every,
            "median, ms": 1e3 * usual,
            "longest, ms": 1e3 * longest,
            "stall, ms": 1e3 * (longest - usual),
        }

    for every in (1e4, 1.0):
        yield attempt("checkpoints", partial(work, every))


def layout_rows(setting: Setting) -> Iterator[Row]:
    """Pass maps forward and backward through group norms, SiLUs and convolutions in bf16, as the blocks of
    U-Nets have them: the layout in memory that norms answer in decides which convolutions are taken.
    """
    channels, depth = (128, 8) if setting.device.type == "cuda" else (32, 2)

    def work(norm: type[nn.GroupNorm], layout: torch.memory_format) -> Row:
        blocks = [
            (norm(32, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1)) for _ in range(depth)
        ]
        network = nn.Sequential(*chain.from_iterable(blocks)).to(setting.device, memory_format=layout)
        x = torch.randn(setting.batches[0], channels, 32, 32, device=setting.device)
        passes = partial(forward_and_backward, network, x.contiguous(memory_format=layout))
        spent = min(1.0, setting.seconds / 10)
        return {"TFLOP/s": best([passes], setting.device, spent=spent, rounds=1) / 1e12}

    for name, norm in {"torch's norm": nn.GroupNorm, "ours": GroupNorm}.items():
        for layout in (torch.channels_last, torch.contiguous_format):
            yield attempt(f"{name}, {str(layout).removeprefix('torch.')}", partial(work, norm, layout))


def forward_and_backward(network: nn.Module, x: Tensor) -> None:
    """Differentiate the sum of a network's output at x (B, C, H, W) under bf16 autocast."""
    with torch.autocast(x.device.type, torch.bfloat16):
        y = network(x)
    y.float().sum().backward()
    network.zero_grad()


def process_rows(setting: Setting, overrides: Sequence[str]) -> Iterator[Row]:
    """Train by one process and by two, where there are as many cards, at one global batch."""
    cards = torch.cuda.device_count() if setting.device.type == "cuda" else 0
    if cards < 2:
        yield {"who": "two processes", "failed": f"left out: {cards} cards, and two are needed"}
        return

    def work(devices: int) -> Row:
        words = [*overrides, "device=cuda", "precision=bf16", "metrics=none"]
        cost = run_to_end([*words, f"trainer.devices={devices}"], threads=4)["cost"]
        return {"images/s": cost["images_per_second"]}

    for devices in (1, 2):
        yield attempt(f"{devices} processes", partial(work, devices))
