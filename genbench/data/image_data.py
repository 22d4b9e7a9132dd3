"""Images that are mapped from a store: splits, parts of them that are set aside, and the facts of a set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.data.captions import Chosen
from genbench.data.known_distribution import KnownDistribution
from genbench.data.memory_map import MappedFile
from genbench.data.validation_part import validation_rows

if TYPE_CHECKING:
    from genbench.text.condition import Condition

__all__ = ["ImageData", "Split"]


class Split:
    """One split of a set: images (N, C, H, W) uint8, and their labels (N,) int64 or None.

    captions: the text of each image, N of them, read as they are asked for, or None; of a part, all of them
    are given, as all images are. files: those that the tensors are mapped from; each use of the images raises
    Damaged once one of them was changed. rows: the numbers (N,) int64 of its images among `images`, of a part
    that shares their memory with another split; None is all of them. Raises ValueError on tensors of another
    shape or dtype, and on another number of captions.
    """

    captions: Sequence[str] | None
    conditions: "Condition | None" = None
    """The captions as a model takes them, one row each, once `ImageData.set_conditions` has set them."""

    def __init__(
        self,
        images: Tensor,
        labels: Tensor | None,
        files: Sequence[MappedFile] = (),
        rows: Tensor | None = None,
        *,
        captions: Sequence[str] | None = None,
    ) -> None:
        if images.dim() != 4 or images.dtype != torch.uint8:
            raise ValueError(f"images are {tuple(images.shape)} {images.dtype}, not (N, C, H, W) uint8")
        if labels is not None and (labels.shape != images.shape[:1] or labels.dtype != torch.int64):
            raise ValueError(f"labels are {tuple(labels.shape)} {labels.dtype}, not ({len(images)},) int64")
        if captions is not None and len(captions) != len(images):
            raise ValueError(f"captions are {len(captions)}; {len(images)} images need as many")
        self.stored_images, self.files, self.rows = images, files, rows
        self.labels = labels if labels is None or rows is None else labels[rows]
        self.captions = captions if captions is None or rows is None else Chosen(captions, rows)

    def __len__(self) -> int:
        return len(self.stored_images if self.rows is None else self.rows)

    def part(self, rows: Tensor) -> "Split":
        """Make a split of the images whose numbers are in rows (m,) int64; no image is copied. A part cannot
        be divided again.
        """
        assert self.rows is None
        return Split(self.images, self.labels, self.files, rows, captions=self.captions)

    @property
    def images(self) -> Tensor:
        """All images, (N, C, H, W) uint8; of a part, whose images lie apart, a copy: `gather` takes few of
        them. Raises Damaged where a file has changed since it was mapped.
        """
        stored = self.checked_images()
        return stored if self.rows is None else stored.index_select(0, self.rows)

    def checked_images(self) -> Tensor:
        """The images in memory, of which a part has those in `rows`. Raises as `images` does."""
        for file in self.files:
            file.check()
        return self.stored_images

    def gather(
        self, index: Tensor, device: torch.device, *, labels: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """Read the images at index (B,) int64: (B, C, H, W) uint8, and labels (B,) or None, on `device`.

        labels: False where they are not needed; None stands for them then. Raises Damaged where a file of the
        store has changed.
        """
        index = index.cpu()
        stored = index if self.rows is None else self.rows[index]
        images = move(self.checked_images().index_select(0, stored), device)
        if self.labels is None or not labels:
            return images, None
        return images, move(self.labels.index_select(0, index), device)


@dataclass(frozen=True)
class ImageData:
    """A prepared set: its splits, mapped from the store, and the facts that its source states.

    train is what is trained on, in a model's training and in fits after it; with `data.validation` it lacks
    the images in `validation`, which nothing is trained on. Whatever compares with training images, so that
    numbers compare between runs with and without validation, takes `whole_train`.
    flip, num_classes and the others mean what they do in ImageSource; key is the digest that it gave.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    num_classes: int
    flip: bool
    key: str
    shape: tuple[int, int, int]
    distribution: KnownDistribution | None = None
    """The exact distribution of the images, where it is known."""
    validation: Split | None = None
    """The part of the training split that is set aside; None without `data.validation`."""
    undivided: Split | None = None
    """The training split as the source gives it, where a part of it is set aside; see `whole_train`."""

    @property
    def whole_train(self) -> Split:
        """The training split of the source, with the images that are set aside: what scores compare samples
        with, what their classifiers are trained on, and what pictures show as real images.
        """
        return self.train if self.undivided is None else self.undivided

    def set_conditions(self, condition: "Callable[[Sequence[str]], Condition]") -> None:
        """Set `conditions` of all splits of a captioned set, by the function of a model that turns texts into
        them; what it raises on a text passes.
        """
        for split in (self.whole_train, self.test):
            assert split.captions is not None
            split.conditions = condition(split.captions)
        for part in (self.train, self.validation):
            if part is not None and part.rows is not None and self.whole_train.conditions is not None:
                part.conditions = self.whole_train.conditions[part.rows]

    @property
    def training_key(self) -> str:
        """A key of the images that are trained on, which a checkpoint can be resumed with alone; `key` itself
        where none are set aside.
        """
        return self.key if self.validation is None else f"{self.key} without {len(self.validation)}"

    def divided(self, share: float | None) -> "ImageData":
        """Set a share of the training images aside, by `validation_rows`; None sets none aside. Raises
        ValueError where there are too few.
        """
        if share is None:
            return self
        whole = self.whole_train
        rows = validation_rows(len(whole), whole.labels, share, self.key)
        left = torch.ones(len(whole), dtype=torch.bool)
        left[rows] = False
        train = whole.part(left.nonzero().flatten())
        return replace(self, train=train, validation=whole.part(rows), undivided=whole)


def move(batch: Tensor, device: torch.device) -> Tensor:
    """Copy a batch to `device`; the copy to a GPU goes through pinned memory and is not waited for."""
    if device.type == "cuda":
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)
