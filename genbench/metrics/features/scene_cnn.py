"""Makes the classifiers of places that are shipped for captioned scenes.

python -m genbench.metrics.features.scene_cnn --items digits --out FILE

It is trained on the places of the training scenes, half of them darkened and under noise, as samples of a
model may be, and measured on those of the test scenes as they are; it takes a few minutes of one core.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from genbench.data import CaptionedScenes, ImageData, Split, prepare
from genbench.data.captioned import PLACE
from genbench.data.scenes import ITEMS
from genbench.data.source import file_digest
from genbench.metrics.cache import save
from genbench.metrics.features.cnn import CNNExtractor, train
from genbench.metrics.features.scene_reader import places, read_scenes, scene_classes
from genbench.runtime.progress import Progress, terminal

__all__ = ["main", "places_of"]

IMAGES = 400_000  # five epochs of 80,000 places
SHIFT = 1  # pixels, beyond those by which objects are moved in the scenes
SEED = 0
NOISE = 20.0  # grey levels, the largest standard deviation
DARKEST = 0.7  # smallest factor of the grey levels


def places_of(source: CaptionedScenes, data: ImageData) -> ImageData:
    """Make a set of single places out of scenes, with 21 classes: nothing, or an item in one of two sizes."""
    train, test = places(data.whole_train.images), places(data.test.images)

    def labels(split: str) -> Tensor:
        scenes = (source.scene(split, i) for i in range(source.counts()[split]))
        return torch.tensor([each for scene in scenes for each in scene_classes(scene)])

    return ImageData(
        name=f"places of {source.name}",
        train=Split(spoiled(train), labels("train")),
        test=Split(test, labels("test")),
        class_names=tuple(map(str, range(21))),
        num_classes=21,
        flip=False,
        key=data.key,
        shape=(1, PLACE, PLACE),
    )


def spoiled(images: Tensor) -> Tensor:
    """Darken half of some images (N, 1, H, W) uint8 and put noise on them, each by a random strength."""
    rng = torch.Generator().manual_seed(SEED)
    coin, dark, level = torch.rand(3, len(images), 1, 1, 1, generator=rng)
    noise = NOISE * level * torch.randn(images.shape, generator=rng)
    changed = (images * (1 - (1 - DARKEST) * dark) + noise).round().clamp(0, 255).to(torch.uint8)
    return torch.where(coin < 0.5, changed, images)


def main() -> None:
    """Train a classifier, write its weights to the file of `--out`, and print its accuracy on the test
    scenes, and the file's sha256, which its features state.
    """
    parser = argparse.ArgumentParser(description="Train the classifier of places of captioned scenes.")
    parser.add_argument("--items", choices=list(ITEMS), default="digits", help="what the scenes show")
    parser.add_argument("--out", type=Path, required=True, help="the safetensors file to write")
    parser.add_argument("--data-root", help="Fashion-MNIST in torchvision's layout; without it, downloaded")
    arguments = parser.parse_args()
    progress = Progress(terminal())
    source = CaptionedScenes(items=arguments.items, root=arguments.data_root)
    data = prepare(source, progress=progress)
    stored = train(places_of(source, data), images=IMAGES, seed=SEED, progress=progress, shift=SHIFT)
    save(arguments.out, stored)
    found = read_scenes(CNNExtractor(stored, "new"), data.test.images)
    true = [source.scene("test", i) for i in range(len(data.test))]
    right = sum(
        a == b for one, other in zip(found, true, strict=True) for a, b in zip(one, other, strict=True)
    )
    whole = sum(one == other for one, other in zip(found, true, strict=True))
    print(f"right on {right} of {4 * len(true)} places, on all four of {whole} of {len(true)} test scenes")
    print(f"sha256 {file_digest(arguments.out)}")


if __name__ == "__main__":
    main()
