"""A small classifier of images, its training, and the features of its penultimate layer."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genbench.data import EpochOrder, ImageData, Split, mirrored, shifted, to_float
from genbench.metrics.cache import Stored, digest
from genbench.metrics.features.extractor import FeatureExtractor, Features
from genbench.records.feature_network import FeatureNetwork
from genbench.runtime.precision import full_precision
from genbench.runtime.progress import Progress

__all__ = ["CNNExtractor", "SmallCNN", "fit", "train"]

CPU = torch.device("cpu")
BATCH = 64  # training images of a step
SCALED_ON = 10_000  # training images on which the features get a mean square of 1
WIDTH = 16  # channels after the first convolution
PEAK_RATE = 4e-3  # of AdamW, before the schedule in `fit`
WIDEST = 32  # larger images are averaged down to this many pixels a side: it bounds what training costs
RECIPE = 1  # raise it when the network or its training changes: cached weights are trained anew


class SmallCNN(nn.Module):
    """Three convolutions and two linear layers: x (B, C, H, W) in [-1, 1] -> 64 features, K logits.

    Images larger than 32 pixels a side are averaged down first, which bounds the cost of its training. width:
    channels after the first convolution, which double after each.
    """

    def __init__(
        self, channels: int, num_classes: int, *, width: int = WIDTH, num_features: int = 64
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *block(channels, width, nn.MaxPool2d(2)),
            *block(width, 2 * width, nn.MaxPool2d(2)),
            *block(2 * width, 4 * width, nn.AdaptiveMaxPool2d(3)),
            nn.Flatten(),
            nn.Linear(36 * width, num_features),  # 4 width channels of 3 x 3
            nn.ReLU(),
        )
        self.head = nn.Linear(num_features, num_classes)

    def forward(self, x: Tensor) -> Features:
        h, w = x.shape[2:]
        if max(h, w) > WIDEST:
            x = F.adaptive_avg_pool2d(x, (min(h, WIDEST), min(w, WIDEST)))
        features = self.body(x)
        return Features(features, self.head(features))


def block(inner: int, outer: int, pool: nn.Module) -> list[nn.Module]:
    """Make the layers of a block, inner -> outer channels: convolution, `pool`, batch norm, ReLU; pooled
    early, since all that follows then costs less.
    """
    return [nn.Conv2d(inner, outer, 3, padding=1, bias=False), pool, nn.BatchNorm2d(outer), nn.ReLU()]


class CNNExtractor(FeatureExtractor):
    """A trained SmallCNN as a feature network: bytes (B, C, H, W) -> its features before the last layer, and
    its logits.

    stored: weights and sizes as `train` returns them. protocol: the features' name in metric names.
    trained_on: the data set, training_images: how many different images of it, and images_seen: how many in
    all, as results state them.
    """

    def __init__(
        self,
        stored: Stored,
        protocol: str,
        *,
        trained_on: str | None = None,
        training_images: int | None = None,
        images_seen: int | None = None,
    ) -> None:
        head = stored.tensors["head.weight"]
        width, channels = stored.tensors["body.0.weight"].shape[:2]
        origin = FeatureNetwork(
            "classifier", trained_on, training_images, classes=len(head), images_seen=images_seen
        )
        super().__init__(protocol, digest(stored.tensors), head.shape[1], origin)
        with torch.device("meta"):  # drawing weights, only to replace them, would move torch's generator
            self.network = SmallCNN(channels, len(head), width=width, num_features=head.shape[1])
        self.network.load_state_dict(stored.tensors, assign=True)
        self.requires_grad_(False).eval()

    def extract(self, images: Tensor) -> Features:
        return self.network(to_float(images))


def train(
    data: ImageData, *, images: int, seed: int, progress: Progress, width: int = WIDTH, shift: int = 0
) -> Stored:
    """Train a SmallCNN of a width by `fit`, on the whole training split also where a part is set aside for
    validation; return its weights by name, and as facts the sha256 of the training images, the settings, and
    the accuracy on the test split.
    """
    network = fit(data, images=images, seed=seed, progress=progress, width=width, shift=shift)
    facts = {
        "data_sha256": hashlib.sha256(data.whole_train.images.numpy().data).hexdigest(),
        "images": images,
        "seed": seed,
        "accuracy": accuracy(network, data.test),
    }
    return Stored({name: value.cpu() for name, value in network.state_dict().items()}, facts)


def fit(
    data: ImageData,
    *,
    images: int,
    seed: int,
    progress: Progress,
    width: int = WIDTH,
    shift: int = 0,
    scaled_on: int = SCALED_ON,
) -> SmallCNN:
    """Train a SmallCNN by AdamW under one rise and fall of the rate; leaves torch's generators as they were.

    images: how many it sees, each moved by up to `shift` pixels, and mirrored where the set says so.
    scaled_on: how many the scale of its features is taken on in the end.
    It runs on one thread of the CPU, so that the same data and seed give the same bits on any machine of the
    same kind, with or without a GPU.
    """
    with torch.random.fork_rng(devices=[]):  # layers draw their weights from torch's default generator
        torch.default_generator.manual_seed(seed)
        network = SmallCNN(data.shape[0], data.num_classes, width=width).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE)
    steps = images // BATCH
    # The rate rises over the first tenth of the steps and falls towards 0 throughout.
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, 10 * (step + 1) / steps) * (1 - step / steps)
    )
    order, coins = EpochOrder(len(data.whole_train), seed), torch.Generator().manual_seed(seed)
    recent = torch.zeros(())
    with one_thread(), torch.enable_grad(), progress.bar(f"classifier of {data.name}", images) as bar:
        for step in range(steps):
            x, y = data.whole_train.gather(order.take(step * BATCH, BATCH), CPU)
            assert y is not None
            x = mirrored(to_float(x), rng=coins) if data.flip else to_float(x)
            logits = network(shifted(x, shift, rng=coins) if shift else x).logits
            optimizer.zero_grad()
            F.cross_entropy(logits, y).backward()
            optimizer.step()
            rate.step()
            # The mean over the steps so far, later over the last fifty or so.
            recent.lerp_((logits.argmax(1) == y).float().mean(), max(1 / (step + 1), 0.02))
            bar.advance((step + 1) * BATCH, f"accuracy {float(recent):.1%} on training images")
        # On images as the scores see them, neither shifted nor mirrored.
        normalise(network.eval(), data.whole_train.gather(order.take(0, scaled_on), CPU)[0])
    return network


@torch.no_grad()
def normalise(network: SmallCNN, images: Tensor) -> None:
    """Give the features of images (B, C, H, W) uint8 a mean square of 1; the logits do not change.

    Relu(a x) = a relu(x), so the scale moves from the features' layer into the head. Distances of two
    classifiers then have one order of magnitude, and KID's cubic kernel does not run away.
    """
    features = torch.cat([network(to_float(batch)).features for batch in images.split(1024)])
    scale = features.square().mean().sqrt()
    last = cast("nn.Linear", network.body[-2])  # the linear layer below the last ReLU
    last.weight.div_(scale)
    last.bias.div_(scale)
    network.head.weight.mul_(scale)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread without autocast inside the block, so that sums have one order on all machines;
    afterwards as many threads as before.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with full_precision(CPU):
            yield
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def accuracy(network: SmallCNN, split: Split) -> float:
    """Share of a split's images that the network, in evaluation mode, assigns to the class of their label, in
    [0, 1]; in batches of 1,024.
    """
    correct = 0
    for index in torch.arange(len(split)).split(1024):
        images, labels = split.gather(index, CPU)
        correct += int((network(to_float(images)).logits.argmax(1) == labels).sum())
    return correct / len(split)
