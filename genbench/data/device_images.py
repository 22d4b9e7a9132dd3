"""Training images on a GPU: all of them as bytes where they take little of its memory, so that no batch is
gathered by the host.
"""

import math

import torch

from genbench.data.image_data import Split

__all__ = ["SHARE", "on_device", "split_on"]

SHARE = 0.1
"""Of the memory of a GPU that is free when a training begins, which images may take, at most."""


def on_device(split: Split, device: torch.device, *, free: int | None = None) -> tuple[Split, list[str]]:
    """Return the split from which batches for `device` are gathered, and a line for the log on where its
    images are; both give the same images.

    On a GPU whose free memory has `SHARE` for them, images and labels are copied there once. Else, and on a
    CPU, it is the split itself, whose batches go to a GPU through pinned memory, and which are not waited
    for. free: bytes, None for those that the device has.
    """
    if device.type != "cuda":
        return split, []
    size = len(split) * math.prod(split.stored_images.shape[1:])
    room = SHARE * (torch.cuda.mem_get_info(device)[0] if free is None else free)
    if size > room:
        why = f"more than {SHARE:.0%} of its free memory"
        return split, [f"Training images: in the host's memory ({size / 1e6:,.0f} MB, {why} on the GPU)."]
    return split_on(split, device), [f"Training images: in the GPU's memory ({size / 1e6:,.0f} MB)."]


def split_on(split: Split, device: torch.device) -> Split:
    """Copy the images and labels of a split to a device, where `gather` then reads them; captions and
    conditions remain on the host. Raises Damaged where a file of the store has changed.
    """
    labels = None if split.labels is None else split.labels.to(device)
    copied = Split(split.images.to(device), labels, captions=split.captions)
    copied.conditions = split.conditions
    return copied
