"""Makes the shipped Fashion-MNIST classifier.

python -m genbench.metrics.features.fashion_mnist_cnn --out FILE

It is trained on the official training split and measured on the official test split, in about a quarter of an
hour of one thread.
Source of the images: Xiao, Rasul, Vollgraf 2017, https://github.com/zalandoresearch/fashion-mnist (MIT).
"""

import argparse
from pathlib import Path

from genbench.data import FashionMnist, prepare
from genbench.data.source import file_digest
from genbench.metrics.cache import save
from genbench.metrics.features.cnn import train
from genbench.runtime.progress import Progress, terminal

__all__ = ["main"]

IMAGES = 600_000  # ten epochs
WIDTH = 32
SHIFT = 2  # pixels: without it the network fits its training images, and held-out ones lie farther from them
SEED = 0


def main() -> None:
    """Train the classifier, write its weights to the file of `--out`, and print its accuracy on the test
    split and the file's sha256, which `FashionMnistFeatures` states.
    """
    parser = argparse.ArgumentParser(
        description="Train the Fashion-MNIST classifier whose features are shipped."
    )
    parser.add_argument("--out", type=Path, required=True, help="the safetensors file to write")
    parser.add_argument("--data-root", help="Fashion-MNIST in torchvision's layout; without it, downloaded")
    arguments = parser.parse_args()
    progress = Progress(terminal())
    data = prepare(FashionMnist(arguments.data_root), progress=progress)
    stored = train(data, images=IMAGES, seed=SEED, progress=progress, width=WIDTH, shift=SHIFT)
    save(arguments.out, stored)
    print(f"accuracy {stored.facts['accuracy']:.4f} on {len(data.test)} test images")
    print(f"sha256 {file_digest(arguments.out)}")


if __name__ == "__main__":
    main()
