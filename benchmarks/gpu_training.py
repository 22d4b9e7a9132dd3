"""Training speed on a GPU: networks of the literature for 32x32 images, ours and the peers', each alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from statistics import median

import torch
from torch import Tensor

from benchmarks.console import Row
from benchmarks.contenders import Contender, Ours, PeerContender, needs_library
from benchmarks.fair_timing import seconds
from benchmarks.gpu_report import attempt
from benchmarks.images import RandomImages
from benchmarks.peers.peer import Peer
from genbench.data import prepare
from genbench.metrics import peak_memory_bytes, reset_peak_memory
from genbench.runtime.progress import Progress
from genbench.session.estimate import Stopwatch
from genbench.training.budget import Budget

__all__ = [
    "GRAPHS",
    "PUBLISHED_PEAK",
    "SHAPE",
    "Setting",
    "compared",
    "equal_rows",
    "mine",
    "numbers",
    "peer_rows",
    "source",
    "tf32",
    "wait",
]

SHAPE = (3, 32, 32)
IMAGES = 10_000
GRAPHS = ("trainer.cuda_graphs=true",)
PUBLISHED_PEAK = 989e12
"""Dense bf16 products of an H100 or H200 (SXM), in operations a second, as NVIDIA states them."""


@dataclass(frozen=True)
class Setting:
    """What the parts of the benchmark share.

    lines: of the log of a timed training. least_steps: between two of them; the first ones must cover the
    recording of graphs. images: of such a training, at least. seconds: limit of a row that draws or extracts.
    samples, at_once: of each family, and of a batch of them. batches: sizes of training batches. width: of
    the peers' U-Nets, 128 in the paper. size: of the products that find the peak. peak: of bf16, in
    operations a second; None where it was not measured.
    """

    device: torch.device
    lines: int = 8
    least_steps: int = 4
    images: int = 16_384
    seconds: float = 12.0
    samples: int = 10_000
    at_once: int = 1000
    batches: tuple[int, ...] = (128, 256, 512, 1024)
    width: int = 128
    size: int = 8192
    peak: float | None = None
    work: dict[tuple[str, int], float] = field(default_factory=dict)
    """Operations of a training step for an image, by kind of contender and parameters, once counted."""

    def steps(self, batch: int) -> int:
        """Return the steps of a timed training, a multiple of the lines of its log."""
        return self.lines * max(self.least_steps, self.images // (batch * self.lines))


def source() -> RandomImages:
    """Return the images that all train on: random bytes, so that nothing is downloaded."""
    return RandomImages(IMAGES, SHAPE)


def mine(setting: Setting, name: str, overrides: Sequence[str], batch: int, precision: str = "bf16") -> Row:
    """Train a configuration of ours, and return its row."""

    def work() -> Row:
        steps = setting.steps(batch)
        words = [*overrides, f"precision={precision}", f"trainer.batch_size={batch}", "metrics=none"]
        words += [f"trainer.log_every_images={steps // setting.lines * batch}"]
        reset_peak_memory(setting.device)
        who = Ours(name, words, device=setting.device, source=source())
        watch = Stopwatch()
        with who.session(Budget(images=steps * batch)) as run:
            who.trained(run, watch)
        # From the first line of the log on, before which networks compile and graphs are recorded. A line
        # reads values from the device, so that its time includes all work before it.
        speeds = [(n - m) / (end - begun) for (m, begun), (n, end) in pairwise(watch.times)]
        return numbers(setting, who, median(speeds))

    return attempt(name, work)


def peer_rows(setting: Setting, batch: int) -> Iterator[Row]:
    """Train each peer in bf16 and in fp32, and yield their rows."""
    for precision in ("bf16", "fp32"):
        for name, make in peers(setting).items():
            yield attempt(f"{name} {precision}", partial(theirs, setting, name, make, precision, batch))


def theirs(setting: Setting, name: str, make: Callable[[], Peer], precision: str, batch: int) -> Row:
    """Train a peer, under autocast for bf16, and return the numbers of its row."""
    device = setting.device
    reset_peak_memory(device)
    with needs_library(name):
        peer = make() if precision == "fp32" else Autocast(make(), device)
    data = prepare(source(), progress=Progress(None))
    who = PeerContender(peer, data, progress=Progress(None), batch_size=batch, device=device)
    each = setting.steps(batch) // setting.lines
    take_steps(who, device, each)
    turns = [seconds(partial(take_steps, who, device, each)) for _ in range(setting.lines - 1)]
    return numbers(setting, who, each * batch / median(turns))


def peers(setting: Setting) -> dict[str, Callable[[], Peer]]:
    """Return constructors of the peers' own U-Nets of the paper, 35.7 M parameters each at width 128."""

    def diffusers() -> Peer:
        from benchmarks.peers.diffusers import Diffusers, cifar_network

        return Diffusers(cifar_network(setting.width).to(setting.device))

    def ddpm_pytorch() -> Peer:
        from benchmarks.peers.ddpm_pytorch import DDPMPytorch

        return DDPMPytorch(
            width=setting.width // 2, multipliers=(1, 2, 4, 8), shape=SHAPE, parts=1, device=setting.device
        )

    return {"diffusers": diffusers, "ddpm_pytorch": ddpm_pytorch}


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


def numbers(setting: Setting, who: Contender, rate: float) -> Row:
    """Return the numbers of a training at `rate` images a second."""
    memory = peak_memory_bytes(setting.device)  # before operations are counted, which takes memory too
    kind = (type(who).__name__, who.parameters)
    if kind not in setting.work:
        setting.work[kind] = who.training_work()
    reached = rate * setting.work[kind]
    share = {} if setting.peak is None else {"of the measured peak": reached / setting.peak}
    return {
        "parameters, M": who.parameters / 1e6,
        "batch": who.batch_size,
        "images/s": rate,
        "TFLOP/s": reached / 1e12,
        "of 989 TFLOP/s": reached / PUBLISHED_PEAK,
        **share,
        "peak memory, MiB": memory / 2**20,
    }


def equal_rows(setting: Setting, cases: dict[str, Sequence[str]], steps: int = 24) -> Iterator[Row]:
    """Train each case with graphs and without, from the same seed, and yield whether the weights are equal,
    bit for bit.

    The learning rate is a constant that float32 holds, in which graphs read it.
    """
    exact = ("precision=fp32", "metrics=none", "optim.lr=0.0009765625", "lr_schedule=constant")

    def work(overrides: Sequence[str]) -> Row:
        found = []
        for graphs in ((), GRAPHS):
            words = [*overrides, *exact, "lr_schedule.warmup_images=0", "trainer.batch_size=32", *graphs]
            who = Ours("equal", words, device=setting.device, source=source())
            with who.session(Budget(images=32 * steps * len(who.parts.model.phases))) as run:
                found.append(who.trained(run, Stopwatch()).model.state_dict())
        return {"steps": steps, **compared(*found)}

    for name, overrides in cases.items():
        yield attempt(name, partial(work, overrides))


def compared(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> Row:
    """Return how far two models' weights, by name, are apart, whether they are equal, and how many of both
    are NaN, which equals nothing.
    """
    apart = torch.stack([(one[name].double() - other[name].double()).abs().max() for name in one])
    undefined = sum(int(weights.isnan().sum()) for weights in (*one.values(), *other.values()))
    is_equal = all(torch.equal(weights, other[name]) for name, weights in one.items())
    return {
        "largest difference of a weight": float(apart.max()),
        "NaN": float(undefined),
        "equal": "yes" if is_equal else "no",
    }


@contextmanager
def tf32(on: bool | None) -> Iterator[None]:
    """Let products and convolutions of float32 round their factors to TF32 inside the block, or not; None
    leaves both as a run sets them.
    """
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    if on is not None:
        products.allow_tf32 = convolutions.allow_tf32 = on
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


def take_steps(who: PeerContender, device: torch.device, steps: int) -> None:
    """Train a peer for some steps, and wait for the device."""
    for _ in range(steps):
        who.step()
    wait(device)


def wait(device: torch.device) -> None:
    """Wait until the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
