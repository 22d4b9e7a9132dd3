"""The condition of images as callers give it to a model, and the check that the model takes it."""

from torch import Tensor

from genbench.text.condition import Condition

__all__ = ["Y", "check_condition", "labels_of"]

Y = Tensor | Condition | None
"""The y of a model, beside images: labels (B,) int64, B texts, or None if it is unconditional."""


def check_condition(y: Y, n: int, *, num_classes: int, takes_text: bool) -> None:
    """Raise ValueError unless y is a legal condition of n >= 1 images, for a model of num_classes labels (0:
    none) or of text; the message has what was given, what is legal and the remedy.
    """
    if n < 1:
        raise ValueError(f"n is {n}; it must be at least 1 image")
    if takes_text:
        check_texts(y, n)
    elif isinstance(y, Condition):
        legal = f"labels from 0 to {num_classes - 1}" if num_classes else "y=None"
        raise ValueError(f"y holds {len(y)} texts, and this model takes none; pass {legal}")
    elif num_classes:
        check_labels(y, n, num_classes)
    elif y is not None:
        raise ValueError("labels were given to an unconditional model; pass y=None")


def check_texts(y: Y, n: int) -> None:
    """Raise ValueError unless y holds n texts."""
    legal = f"this model needs {n} texts: pass y=model.condition(texts), where '' is no text"
    if not isinstance(y, Condition):
        given = "y is None" if y is None else f"y has shape {tuple(y.shape)} and dtype {y.dtype}"
        raise ValueError(f"{given}; {legal}")
    if len(y) != n:
        raise ValueError(f"y holds {len(y)} texts; {legal}")


def check_labels(y: Tensor | None, n: int, num_classes: int) -> None:
    """Raise ValueError unless y are n labels from 0 to num_classes - 1: (n,) int64."""
    legal = f"this model needs y of shape ({n},), int64, from 0 to {num_classes - 1}"
    if y is None:
        raise ValueError(f"y is None; {legal}")
    if tuple(y.shape) != (n,) or y.is_floating_point():
        raise ValueError(f"y has shape {tuple(y.shape)} and dtype {y.dtype}; {legal}")
    # Host tensors only: reading a range off a GPU would stall every step; the data layer has checked it.
    if y.device.type == "cpu" and (int(y.min()) < 0 or int(y.max()) >= num_classes):
        raise ValueError(f"y ranges from {int(y.min())} to {int(y.max())}; {legal}")


def labels_of(y: Y) -> Tensor | None:
    """Return the labels (B,), or None, of a condition that `check_condition` let pass for a model that takes
    no text.
    """
    assert not isinstance(y, Condition)
    return y
