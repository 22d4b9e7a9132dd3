"""Captioned scenes of real digits or articles of clothing, for which it is exactly known whether an image
shows what a caption says.
"""

import random
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
from PIL import Image

from genbench.data.scenes import ITEMS, Scene, Thing, describe, has_held_out
from genbench.data.sets import Digits, FashionMnist
from genbench.data.source import ImageSource, digest
from genbench.runtime import rng

__all__ = ["PLACE", "CaptionedScenes"]

PLACE = 16  # pixels a side of each of the four places
SIDES = (8, 14)  # pixels a side of a small and of a big object
JITTER = (2, 1)  # pixels by which each is moved from the middle of its place, at most
TWO = 0.6  # share of scenes with two objects; the others have three
RECIPE = 2  # raise it when scenes, captions or pictures change
MOST = 10_000_000  # scenes of a split
SEED = 0


class CaptionedScenes(ImageSource):
    """Two or three real objects on a grid of 2 x 2 places, 32x32x1, each scene with a caption.

    items: "digits", scikit-learn's, or "fashion_mnist", whose files `root` and `download` name as those of
    data=fashion_mnist. Training scenes show training images of the items alone, test scenes test images.
    train, test: numbers of scenes; fewer are the first of more. An object is 8 or 14 pixels a side and stands
    near the middle of its place. Scenes, captions and pictures follow from the number of the scene.
    A tenth of the 400 combinations of two items and their relation ("seven above three") is in no training
    scene. Test scenes are in turn without and with such a combination: half of each.
    Raises ValueError on other items, and on numbers out of range.
    """

    shape = (1, 2 * PLACE, 2 * PLACE)
    num_classes = 0
    class_names = ()
    flip = False
    captioned = True

    def __init__(
        self,
        *,
        items: str = "digits",
        root: str | None = None,
        download: bool = True,
        train: int = 20_000,
        test: int = 2_000,
        validation: float | None = None,
    ) -> None:
        super().__init__(validation=validation)
        if items not in ITEMS:
            raise ValueError(f"data.items is {items!r}; choose from {', '.join(ITEMS)}")
        if items == "digits" and root is not None:
            raise ValueError(
                f"data.root is {root}, and the digits come with scikit-learn: leave it out, or take "
                "data.items=fashion_mnist"
            )
        for split, count in (("train", train), ("test", test)):
            if not 2 <= count <= MOST:
                raise ValueError(f"data.{split} is {count}; it must be from 2 to {MOST:,}")
        self.items = items
        self.source = Digits() if items == "digits" else FashionMnist(root, download=download)
        self.name = "captioned" if items == "digits" else f"captioned_{items}"
        self.sizes = {"train": train, "test": test}

    def check(self) -> None:
        """Raise FileNotFoundError where `root` was given and lacks the files of the items."""
        self.source.check()

    def key(self) -> str:
        return digest([self.name, self.source.key(), f"{RECIPE} {self.sizes}"])

    def counts(self) -> dict[str, int]:
        return self.sizes

    def hold_out(self, n: int) -> str:
        return f"data.test={n}"

    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        for number in range(self.sizes[split]):
            yield self.picture(split, number), -1

    def captions(self, split: str) -> list[str]:
        """Write the captions of a split, one for each scene in the order of `decode`."""
        return [self.caption(split, number) for number in range(self.sizes[split])]

    def caption(self, split: str, number: int) -> str:
        """Write the caption of one scene, in one of the wordings that `scenes.describe` has; true by
        construction, and the same each time.
        """
        return describe(self.scene(split, number), self.items, stream(split, number, "caption"))

    def scene(self, split: str, number: int) -> Scene:
        """Draw what stands at each of the four places of a scene, by its number."""
        below = stream(split, number, "scene")
        held_out = split == "test" and number % 2 == 1
        while True:  # a twelfth to a fifth of all scenes have a held-out combination
            places = list[Thing | None]([None] * 4)
            free = [0, 1, 2, 3]
            for _ in range(2 if below(1000) < 1000 * TWO else 3):
                places[free.pop(below(len(free)))] = Thing(below(10), below(2))
            if has_held_out(scene := tuple(places), self.items) == held_out:
                return scene

    def picture(self, split: str, number: int) -> np.ndarray:
        """Paint one scene, by its number in a split: (32, 32, 1) uint8, with images of the items of the same
        split, chosen and moved at random from the number of the scene.
        """
        below = stream(split, number, "picture")
        canvas = np.zeros(self.shape[1:], np.uint8)
        for place, thing in enumerate(self.scene(split, number)):
            if thing is not None:
                images = self.pictures[split][thing.item]
                side, jitter = SIDES[thing.size], JITTER[thing.size]
                corner = [PLACE * at + (PLACE - side) // 2 for at in divmod(place, 2)]
                top, left = (at + below(2 * jitter + 1) - jitter for at in corner)
                canvas[top : top + side, left : left + side] = resized(images[below(len(images))], side)
        return canvas[..., None]

    @cached_property
    def pictures(self) -> dict[str, list[list[np.ndarray]]]:
        """The images of the items, (H, W) uint8, by split and class."""
        found = {split: [list[np.ndarray]() for _ in range(10)] for split in self.sizes}
        for split, classes in found.items():
            for image, label in self.source.decode(split):
                classes[label].append(image[..., 0])
        return found


def stream(split: str, number: int, what: str) -> Callable[[int], int]:
    """Make the random choices of one scene: n -> a whole number from 0 to n - 1, each call a new one."""
    # Python promises the same numbers of `random` from the same seed in all its versions.
    draw = random.Random(rng.derive(SEED, f"captioned {split} {what}", number)).random
    return lambda n: int(n * draw())


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """Resize a grey image (H, W) uint8 to a side in pixels, bicubic, smoothed first where it shrinks."""
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))
