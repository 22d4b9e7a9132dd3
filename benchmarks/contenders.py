"""The contenders of all comparisons: presets of genbench and the peers, behind one interface."""

import dataclasses
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.fair_timing import clock
from benchmarks.peers.peer import Peer
from genbench import app
from genbench.config.option_folders import CONF
from genbench.data import EpochOrder, FashionMnist, ImageData, ImageSource, prepare, to_uint8
from genbench.evaluation.samples import batches
from genbench.generator import Generator
from genbench.metrics import parameter_count
from genbench.records.run_directory import Run
from genbench.runtime import rng
from genbench.runtime.precision import Float32
from genbench.runtime.progress import Progress
from genbench.session.run_parts import Configuration
from genbench.session.session import Session
from genbench.tracking import Tracker
from genbench.training import flops
from genbench.training.budget import Budget
from genbench.training.state import Trained

__all__ = [
    "BATCH",
    "CPU",
    "OURS",
    "PEERS",
    "Contender",
    "Ours",
    "PeerContender",
    "PeerNotInstalled",
    "TimedBudget",
    "TrainingCost",
    "contender",
    "draw_samples",
    "fashion_mnist",
    "needs_library",
    "peer",
    "preset",
]

OURS = ("ddpm", "vae", "flow", "gan")
"""The presets experiment=fashion_mnist_*."""
PEERS = ("diffusers", "ddpm_pytorch", "sketch", "pythae", "normflows", "dcgan")
LIBRARIES = {"ddpm_pytorch": ("denoising_diffusion_pytorch", "ema_pytorch")}
"""Modules of the peers whose libraries have other names than they."""
BATCH = 256  # images of a batch of sampling, of all contenders
CPU = torch.device("cpu")
COUNTED = 2  # images of the batch whose operations are counted


class PeerNotInstalled(Exception):  # noqa: N818 (no error of the program)
    """The library of a peer is not installed."""


class TrainingCost(NamedTuple):
    """Images and seconds of a training."""

    images: int
    """Steps times batch size: one batch of a GAN's step counts once, for both of its networks."""
    seconds: float
    """By the clock of rates."""

    @property
    def rate(self) -> float:
        """Training speed in images a second."""
        return self.images / self.seconds


class Contender(ABC):
    """A generative model with its own training step and its own sampler."""

    name: str
    parameters: int
    batch_size: int
    """Images of a step."""

    @abstractmethod
    def train(self, seconds: float) -> TrainingCost:
        """Train for so many seconds of wall-clock time, and finish the step."""

    @abstractmethod
    def sample(self, n: int) -> Tensor:
        """Draw n images: (n, C, H, W) uint8."""

    @abstractmethod
    def training_work(self) -> float:
        """Floating-point operations of a training step for each image, forward and backward, of all networks.

        Products, convolutions and attention are counted, all other operations are not.
        """

    def sampling_work(self) -> float:
        """Floating-point operations of a sample, of the same kinds as `training_work` counts."""
        with FlopCounterMode(display=False) as counter:
            self.sample(COUNTED)
        return counter.get_total_flops() / COUNTED


@dataclass(frozen=True)
class TimedBudget(Budget):
    """A budget that records the time of each call of `spent`: before the first step, and after each."""

    looks: list[float] = field(default_factory=list)

    def spent(self, images_seen: int, seconds: float) -> float:
        self.looks.append(clock())
        return super().spent(images_seen, seconds)


class Ours(Contender):
    """A configuration of genbench, trained as `main.py` trains it: with averages, log and checkpoints.

    overrides: of the configuration. source: images to take instead of the configuration's.
    A second training continues with the weights of the first.
    """

    def __init__(
        self,
        name: str,
        overrides: Sequence[str],
        *,
        seed: int = 0,
        device: torch.device = CPU,
        source: ImageSource | None = None,
        console: Console | None = None,
    ) -> None:
        self.name, self.console = f"genbench {name}", console or Console(quiet=True)
        always = [f"seed={seed}", f"device={device}", "tracker=jsonl", "trainer.sample_every_images=null"]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            composed = compose("config", overrides=[*overrides, *always], return_hydra_config=True)
        cfg = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
        self.choices: dict[str, str] = {
            **{group: option for group, option in composed.hydra.runtime.choices.items() if option},
            "conditional": str(cfg.conditional).lower(),
        }
        built = app.build(cfg)
        self.parts = dataclasses.replace(built, source=source or built.source)
        self.config: Any = OmegaConf.to_container(cfg, resolve=True)
        self.parameters, self.batch_size = parameter_count(self.parts.model), self.parts.trainer.batch_size
        self.drawing, self.drawn = self.parts.model, 0

    def train(self, seconds: float) -> TrainingCost:
        return self.spend(TimedBudget(seconds=seconds))

    def spend(self, budget: TimedBudget) -> TrainingCost:
        """Train until a budget is spent, in a run directory that is deleted afterwards."""
        with self.session(budget) as session:
            tracker = session.open_tracker()
            trained = self.trained(session, tracker)
            tracker.finish("done")
        return TrainingCost(trained.step * self.batch_size, budget.looks[-1] - budget.looks[0])

    @contextmanager
    def session(self, budget: Budget) -> Iterator[Session]:
        """A session of a run whose directory is deleted afterwards."""
        parts = dataclasses.replace(self.parts, budget=budget)
        with tempfile.TemporaryDirectory() as folder:
            run = Run(Path(folder) / "run")
            configuration = Configuration("", self.config, self.choices, self.config)
            yield Session(parts, run, configuration, parts.context(Progress(self.console)))

    def trained(self, session: Session, tracker: Tracker) -> Trained:
        """Train in a session, and draw later samples from the averaged weights."""
        trained = session.train(tracker, no_pictures)
        self.drawing = trained.ema.model
        self.parts = dataclasses.replace(self.parts, precision=Float32())  # its hooks are there already
        return trained

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        self.drawn += 1
        stream = rng.generator(self.parts.device, self.parts.seed, "benchmark", self.drawn)
        return to_uint8(self.drawing.eval().sample(n, rng=stream))

    def training_work(self) -> float:
        model = self.parts.model
        x = torch.rand(COUNTED, *model.shape, device=self.parts.device) * 2 - 1
        y = torch.zeros(COUNTED, dtype=torch.int64, device=x.device) if model.num_classes else None
        return flops.training_flops(model, x, y) * len(model.phases)


def no_pictures(model: Generator, images_seen: int) -> None:
    """Draw no samples during the training (a callback of the session)."""


class PeerContender(Contender):
    """A peer, trained on images from memory in a new random order for each epoch.

    batch_size: images of a step, None as the peer's guide has it.
    """

    def __init__(
        self,
        peer: Peer,
        data: ImageData,
        *,
        progress: Progress,
        batch_size: int | None = None,
        device: torch.device = CPU,
    ) -> None:
        self.name, self.parameters, self.device = peer.name, peer.parameters, device
        self.peer, self.split, self.progress = peer, data.train, progress
        self.batch_size = peer.batch_size if batch_size is None else batch_size
        self.order, self.seen = EpochOrder(len(data.train), seed=0), 0

    def train(self, seconds: float) -> TrainingCost:
        before, begun = self.seen, clock()
        started, spent = time.perf_counter(), 0.0
        with self.progress.bar(f"training {self.name}", round(seconds)) as bar:
            while spent < seconds:
                self.step()
                spent = time.perf_counter() - started
                bar.advance(round(spent), f"{(self.seen - before) / spent:,.0f} images/s")
        return TrainingCost(self.seen - before, clock() - begun)

    def step(self) -> None:
        """Train one step on the next batch."""
        index = self.order.take(self.seen, self.batch_size)
        self.peer.train_step(self.split.gather(index, self.device)[0])
        self.seen += self.batch_size

    def sample(self, n: int) -> Tensor:
        return self.peer.sample(n)

    def training_work(self) -> float:
        images = self.split.images[:COUNTED].to(self.device)
        return flops.count(lambda: self.peer.train_step(images)) / len(images)


def contender(name: str, *, data_root: Path, seed: int, console: Console | None) -> Contender:
    """A preset of genbench or a peer by its name, its weights drawn from the seed.

    Raises ValueError on an unknown name, PeerNotInstalled where a peer is not installed.
    """
    torch.manual_seed(seed)
    if name in OURS:
        return Ours(name, preset(name, data_root), seed=seed, console=console)
    with needs_library(name):
        return PeerContender(peer(name), fashion_mnist(data_root, console), progress=Progress(console))


def preset(name: str, data_root: Path) -> list[str]:
    """The overrides of a preset for Fashion-MNIST."""
    return [f"experiment=fashion_mnist_{name}", f"data.root={data_root}"]


@contextmanager
def needs_library(name: str) -> Iterator[None]:
    """Raise PeerNotInstalled, which says how to install it, where the library of a peer is missing in the
    block; any other error of an import, also of what the library itself lacks, is not changed.

    name: of a peer, or of the library.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in LIBRARIES.get(name, (name,)):
            raise
        raise PeerNotInstalled(
            f'{name} is left out ({error}): pip install -e ".[peers]" -c constraints.txt'
        ) from error


def peer(name: str) -> Peer:
    """A peer by its name, with its guide's settings. Raises ValueError on an unknown name."""
    match name:
        case "diffusers":
            from benchmarks.peers.diffusers import Diffusers

            return Diffusers()
        case "ddpm_pytorch":
            from benchmarks.peers.ddpm_pytorch import DDPMPytorch

            return DDPMPytorch()
        case "sketch":
            from benchmarks.peers.sketch import Sketch

            return Sketch()
        case "pythae":
            from benchmarks.peers.pythae import Pythae

            return Pythae()
        case "normflows":
            from benchmarks.peers.normflows import NormflowsGlow

            return NormflowsGlow()
        case "dcgan":
            from benchmarks.peers.dcgan import DCGAN

            return DCGAN()
    raise ValueError(f"{name!r} is no peer; choose from {', '.join(PEERS)}")


def fashion_mnist(data_root: Path, console: Console | None) -> ImageData:
    """Fashion-MNIST from a folder in torchvision's layout, as genbench stores it."""
    return prepare(FashionMnist(str(data_root)), progress=Progress(console))


def draw_samples(who: Contender, n: int, *, progress: Progress) -> tuple[Tensor, float]:
    """Draw n images in batches: (n, 1, 28, 28) uint8, and the seconds that it took."""
    images, seconds = [], 0.0
    with progress.bar(f"sampling {who.name}", n) as bar:
        for start, count in batches(n, BATCH):
            started = clock()
            images.append(who.sample(count))
            seconds += clock() - started
            bar.advance(start + count, f"{(start + count) / seconds:,.1f} images/s")
    return torch.cat(images), seconds
