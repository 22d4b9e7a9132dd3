"""Contents of an array that is not one of images, and the way from it to one, in words for messages."""

import numpy as np

__all__ = ["contents", "rearranged", "to_bytes", "to_labels"]


def contents(samples: np.ndarray) -> str:
    """Describe the numbers of an array that are not bytes, for a message: their range, and how many are not
    finite; "" for what are no numbers.
    """
    if samples.size == 0 or samples.dtype.kind not in "iuf":
        return ""
    # Numbers that are not finite come from a model that failed, which rounding would hide.
    if broken := int((~np.isfinite(samples)).sum()):
        return f", {broken:,} of its numbers not finite"
    return f" with numbers from {samples.min():.6g} to {samples.max():.6g}"


def to_bytes(samples: np.ndarray) -> str:
    """Say how an array of another dtype becomes bytes, by the range of its numbers."""
    kind = samples.dtype.kind
    if kind == "b":
        return "use 255 for true, samples.astype('uint8') * 255"
    if kind not in "iuf" or samples.size == 0:
        return "save levels from 0 to 255"
    # Of numbers that are not finite both are nan, which is in no range.
    low, high = samples.min(), samples.max()
    if kind == "f" and low >= 0 and high <= 1:
        return "scale to 0 .. 255 and round, (samples * 255).round().astype('uint8')"
    if kind == "f" and low >= -1 and high <= 1:
        return "scale from -1 .. 1 to 0 .. 255 and round, (samples * 127.5 + 127.5).round().astype('uint8')"
    if low == 0 and high == 1:
        return "use 255 for 1, samples.astype('uint8') * 255"
    if low >= 0 and high <= 255:
        return "its numbers are levels already, samples.round().astype('uint8')"
    if kind == "u" and samples.dtype.itemsize == 2:
        return "scale 16 bits to 8, (samples / 257).round().astype('uint8')"
    return "scale to 0 .. 255 and round first"


def rearranged(found: tuple[int, ...], shape: tuple[int, int, int]) -> str:
    """Say how an array of some shape becomes one of images (C, H, W) with the channels last, or that other
    images or other data are needed; the end of a message.
    """
    channels, height, width = shape
    if found[1:] == shape:
        return ": move the channels to the end, samples.transpose(0, 2, 3, 1)"
    if found in ((height, width), (height, width, channels)):
        return ": put the one image into an array of images, samples[None]"
    if 0 in found:
        return ": it holds no image, save some"
    last = len(found) == 4 and found[3] in (1, 3, 4)
    if len(found) == 3 or last:
        return f": {of_other_images(found[1:3], found[3] if last else 1, shape)}"
    return ": rearrange it to this shape, images first and channels last"


def of_other_images(size: tuple[int, ...], channels: int, shape: tuple[int, int, int]) -> str:
    """Say what to do with images of a size (H, W) and a number of channels, where data of shape (C, H, W) has
    others: nothing is converted, since that would change the scores.
    """
    if size != shape[1:]:
        return "compare with data of this size (--set data.size=.., or another --data), or save other images"
    if channels == 4 and shape[0] == 3:
        return "drop the alpha channel, samples[..., :3]"
    found, wanted = ({1: "grey", 3: "colour"}.get(each, "other") for each in (channels, shape[0]))
    return f"compare with {found} data, or save the samples as {wanted} images"


def to_labels(labels: np.ndarray, n: int) -> str:
    """Say how an array becomes the classes of n images, one integer each."""
    if labels.shape == (n, 1):
        return "use labels[:, 0].astype(int)"
    if labels.ndim == 2 and len(labels) == n and labels.dtype.kind in "biuf":
        return "if there is one number per class, use the largest: labels.argmax(1)"
    if labels.shape == (n,) and labels.dtype.kind == "f" and bool((labels == np.floor(labels)).all()):
        return "use labels.astype(int)"
    return "save the number of each image's class, or leave labels out"
