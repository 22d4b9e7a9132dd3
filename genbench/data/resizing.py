"""Ways to make an image of a fixed size of one of any size, as they are published."""

from collections.abc import Callable, Mapping

from PIL import Image

__all__ = ["RESIZES", "Resize", "check_resize", "crop_resized", "lanczos"]

Resize = Callable[[Image.Image, tuple[int, int]], Image.Image]
"""(an image "L" or "RGB", (width, height) in pixels) -> the image of that size."""


def lanczos(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Cut the centre square out, whose side is the shorter side of the image, and resize it by Lanczos'
    filter; an image more than six times too large is first averaged over whole blocks.
    """
    return image.resize(size, Image.Resampling.LANCZOS, box=centre_square(image), reducing_gap=3.0)


def box(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize the whole image by the box filter: each pixel is the mean of its part of the image. Nothing is
    cut off, so that an image that is not square is squeezed.

    Source: Chrabaszcz, Loshchilov, Hutter 2017, A downsampled variant of ImageNet, for 16, 32 and 64 pixels.
    """
    return image.resize(size, Image.Resampling.BOX)


def adm(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Halve both sides by the box filter while the shorter one has at least twice the pixels of the target,
    resize the image by the bicubic filter until the shorter side fits, and cut the centre out.

    Source: Dhariwal, Nichol 2021, in the code of their paper; sides are rounded as there.
    """
    side = min(size)
    while min(image.size) >= 2 * side:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = side / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    return image.crop(centre_square(image))


def centre_square(image: Image.Image) -> tuple[int, int, int, int]:
    """Return the centre square of an image, whose side is the shorter one: left, top, right, bottom."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return left, top, left + side, top + side


def crop_resized(image: Image.Image, crop: int, size: int) -> Image.Image:
    """Cut the centre square of `crop` pixels a side out, and resize it to `size` by the bilinear filter,
    whose support grows where it shrinks the image ("antialias").
    """
    left, top = (image.width - crop) // 2, (image.height - crop) // 2
    square = image.crop((left, top, left + crop, top + crop))  # so that no pixel beyond it is weighed in
    return square.resize((size, size), Image.Resampling.BILINEAR)


RESIZES: Mapping[str, Resize] = {"lanczos": lanczos, "box": box, "adm": adm}
"""The ways of resizing that `data.resize` chooses from, each with its function."""


def check_resize(name: str) -> Resize:
    """Return the way to resize of a name of `RESIZES`. Raises ValueError, with all of them, on another."""
    if name not in RESIZES:
        raise ValueError(
            f"data.resize is {name!r}; choose from lanczos (the centre square), box (the whole image, as in "
            "Chrabaszcz et al. 2017) and adm (the centre square, as in Dhariwal & Nichol 2021)"
        )
    return RESIZES[name]
