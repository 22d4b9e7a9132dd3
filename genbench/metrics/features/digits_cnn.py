"""Makes the digits classifier that is shipped: python -m genbench.metrics.features.digits_cnn --out FILE."""

import argparse
from pathlib import Path

from genbench.data import Digits, prepare
from genbench.data.source import file_digest
from genbench.metrics.cache import save
from genbench.metrics.features.cnn import train
from genbench.runtime.progress import Progress, terminal

__all__ = ["main"]

IMAGES = 60_000
SEED = 0


def main() -> None:
    """Train the classifier on the training split, write its weights to the file of `--out`, and print its
    accuracy on the test split and the file's sha256, which `DigitsFeatures` states.
    """
    parser = argparse.ArgumentParser(description="Train the digits classifier whose features are shipped.")
    parser.add_argument("--out", type=Path, required=True, help="the safetensors file to write")
    out = parser.parse_args().out
    progress = Progress(terminal())
    data = prepare(Digits(), progress=progress)
    stored = train(data, images=IMAGES, seed=SEED, progress=progress)
    save(out, stored)
    print(f"accuracy {stored.facts['accuracy']:.4f} on {len(data.test)} test images")
    print(f"sha256 {file_digest(out)}")


if __name__ == "__main__":
    main()
