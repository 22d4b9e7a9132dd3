"""Who is compared: our presets and the peers, behind one interface."""

import dataclasses
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console
from torch import Tensor

from genbench import app, rng
from genbench.axes import CONF
from genbench.budget import Budget
from genbench.data import EpochOrder, FashionMnist, ImageData, cache_dir, prepare, to_uint8
from genbench.evaluate import batches
from genbench.generator import Generator
from genbench.metrics import parameter_count
from genbench.progress import Progress
from genbench.run import Run
from genbench.session import Session
from tests.benchmarks.peers.peer import Peer

__all__ = [
    "BATCH",
    "OURS",
    "PEERS",
    "Contender",
    "Fed",
    "Missing",
    "Ours",
    "Spent",
    "contender",
    "drawn",
    "fashion_mnist",
]

OURS = ("ddpm", "vae", "flow", "gan")
"""The presets experiment=fashion_mnist_*."""
PEERS = ("diffusers", "ddpm_pytorch", "pythae", "normflows", "dcgan")
BATCH = 256  # images that are drawn at once, by everybody
CPU = torch.device("cpu")


class Missing(Exception):  # noqa: N818 (what is the matter)
    """A peer's library is not installed."""


class Spent(NamedTuple):
    """What a training came to."""

    images: int
    """Steps times batch size: one batch of a GAN's step counts once, for both of its networks."""
    seconds: float

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds


class Contender(ABC):
    """Somebody who learns to draw Fashion-MNIST."""

    name: str
    parameters: int

    @abstractmethod
    def train(self, seconds: float) -> Spent:
        """Train for so long, and finish the step."""

    @abstractmethod
    def sample(self, n: int) -> Tensor:
        """(n, 1, 28, 28) uint8."""


class Ours(Contender):
    """A preset, trained as `main.py` trains it: its averages, its log and its checkpoints included.

    A second training goes on with the weights of the first.
    """

    def __init__(self, name: str, *, data_root: Path, seed: int, console: Console | None) -> None:
        self.name, self.console = f"genbench {name}", console or Console(quiet=True)
        overrides = [
            f"experiment=fashion_mnist_{name}",
            f"data.root={data_root}",
            f"seed={seed}",
            "device=cpu",
            "tracker=jsonl",
            "trainer.sample_every_images=null",
        ]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose("config", overrides=overrides)
        self.parts = app.build(cfg)
        self.config: Any = OmegaConf.to_container(cfg, resolve=True)
        self.parameters = parameter_count(self.parts.model)
        self.drawing, self.drawn = self.parts.model, 0

    def train(self, seconds: float) -> Spent:
        parts = dataclasses.replace(self.parts, budget=Budget(seconds=seconds))
        with tempfile.TemporaryDirectory() as folder:
            session = Session(parts, Run(Path(folder) / "run"), "", self.config, {}, self.console)
            tracker = session.open_tracker()
            trained = session.train(tracker, no_pictures)
            tracker.finish("done")
        self.drawing = trained.ema.model
        return Spent(trained.step * parts.trainer.batch_size, trained.seconds)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        self.drawn += 1
        stream = rng.generator(CPU, self.parts.seed, "benchmark", self.drawn)
        return to_uint8(self.drawing.eval().sample(n, rng=stream))


def no_pictures(model: Generator, images_seen: int) -> None:
    """What is shown of a training meanwhile."""


class Fed(Contender):
    """A peer, and the images that it is fed with: from memory, in an order of its own for each epoch."""

    def __init__(self, peer: Peer, data: ImageData, *, progress: Progress) -> None:
        self.name, self.parameters = peer.name, peer.parameters
        self.peer, self.split, self.progress = peer, data.train, progress
        self.order, self.seen = EpochOrder(len(data.train), seed=0), 0

    def train(self, seconds: float) -> Spent:
        size, before, started, spent = self.peer.batch_size, self.seen, time.perf_counter(), 0.0
        with self.progress.bar(f"training {self.name}", round(seconds)) as bar:
            while spent < seconds:
                self.peer.train_step(self.split.gather(self.order.take(self.seen, size), CPU)[0])
                self.seen += size
                spent = time.perf_counter() - started
                bar.advance(round(spent), f"{(self.seen - before) / spent:,.0f} images/s")
        return Spent(self.seen - before, spent)

    def sample(self, n: int) -> Tensor:
        return self.peer.sample(n)


def contender(name: str, *, data_root: Path, seed: int, console: Console | None) -> Contender:
    """A preset of ours or a peer by its name, its weights drawn from the seed.

    Raises ValueError on an unknown name, Missing where a peer is not installed.
    """
    torch.manual_seed(seed)
    if name in OURS:
        return Ours(name, data_root=data_root, seed=seed, console=console)
    return Fed(peer(name), fashion_mnist(data_root, console), progress=Progress(console))


def peer(name: str) -> Peer:
    """A peer by its name."""
    try:
        match name:
            case "diffusers":
                from tests.benchmarks.peers.diffusers import Diffusers

                return Diffusers()
            case "ddpm_pytorch":
                from tests.benchmarks.peers.ddpm_pytorch import DDPMPytorch

                return DDPMPytorch()
            case "pythae":
                from tests.benchmarks.peers.pythae import Pythae

                return Pythae()
            case "normflows":
                from tests.benchmarks.peers.normflows import NormflowsGlow

                return NormflowsGlow()
            case "dcgan":
                from tests.benchmarks.peers.dcgan import DCGAN

                return DCGAN()
    except ImportError as error:
        raise Missing(
            f'{name} is left out ({error}): pip install -e ".[peers]" -c constraints.txt'
        ) from error
    raise ValueError(f"{name!r} is no peer; legal are {', '.join(PEERS)}")


def fashion_mnist(data_root: Path, console: Console | None) -> ImageData:
    """The images, from a folder in torchvision's layout."""
    return prepare(FashionMnist(str(data_root)), cache=cache_dir(), progress=Progress(console))


def drawn(who: Contender, n: int, *, progress: Progress) -> tuple[Tensor, float]:
    """n images (n, 1, 28, 28) uint8 and the seconds that drawing them took."""
    images, seconds = [], 0.0
    with progress.bar(f"sampling {who.name}", n) as bar:
        for start, count in batches(n, BATCH):
            started = time.perf_counter()
            images.append(who.sample(count))
            seconds += time.perf_counter() - started
            bar.advance(start + count, f"{(start + count) / seconds:,.1f} images/s")
    return torch.cat(images), seconds
