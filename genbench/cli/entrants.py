"""Entrants of blind votes: the samples of runs, and held-out images of their data set."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.cli.verb import context_on, warnings_in_lines
from genbench.records.untrusted_files import read_regular
from genbench.report.page.pictures import PICTURE_BYTES, PIXELS, pictures_of, size_of
from genbench.runtime.printable import complain, flat

if TYPE_CHECKING:
    import numpy as np

    from genbench.report.runs import Runs

    Images = Callable[[], np.ndarray]

__all__ = ["entrants"]

HELD_OUT = 256  # real images, at most, drawn at random from those of the test split
FEWEST = 4  # images of an entrant


def entrants(runs: "Runs") -> "tuple[dict[str, Images], str]":
    """Return the entrants by name, each a function that reads its images (N, H, W, 3) uint8, and the key of
    the data set that they share.

    A run without a grid of samples that can be read is left out, with a line on stderr. Raises ValueError on
    runs of several data sets, and whatever the data set raises that cannot be read.
    """
    from genbench.report.data_frame import cells
    from genbench.report.votes import REAL

    names = [str(name) for name in cells(runs.frame, "run")]
    keys = {str(key) for key in cells(runs.frame, "data_key")} if names else set()
    if len(keys) != 1:
        raise ValueError(
            f"--votes needs finished runs of one data set, and there are runs of {len(keys)}: choose by "
            "--filter, such as --filter data=digits"
        )
    real, height, width = held_out(runs.paths[names[0]])
    found: dict[str, Images] = {REAL: lambda: real}
    for name in names:
        try:
            images = samples_of(runs.paths[name], height, width)
            if len(images()) < FEWEST:
                raise ValueError("it has no grid of samples in the size of this data set")
        except (OSError, ValueError) as error:
            complain(flat(f"{name} is not voted on: {error}"))
        else:
            found[name] = images
    return found, keys.pop()


def held_out(run: Path) -> "tuple[np.ndarray, int, int]":
    """Return held-out images of the data set of a run, as a grid of samples would show them, and the
    height and width that they have without that. The first run names the data set.
    """
    import numpy as np

    from genbench.app import measuring
    from genbench.data import prepare
    from genbench.evaluation.pictures import enlarged

    context = context_on("cpu")
    with warnings_in_lines():
        source, _, _ = measuring(of_run=run)
        split = prepare(source, progress=context.progress, captions=False).test
    rows = np.random.default_rng(0).permutation(len(split.images))[:HELD_OUT]
    images = split.images[np.sort(rows)]
    return enlarged(images), *images.shape[-2:]


def samples_of(run: Path, height: int, width: int) -> "Images":
    """Return a function that reads the images of a run's last grid of samples, of a known size.

    The file is read anew each time, so that many runs take no memory. The function raises OSError or
    ValueError where there is none, or it cannot be read.
    """

    def images() -> "np.ndarray":
        import numpy as np

        from genbench.data.image_reading import opened
        from genbench.evaluation.pictures import untile

        path = pictures_of(run).get("samples")
        if path is None:
            raise ValueError("it has no grid of samples")
        content = read_regular(path, at_most=PICTURE_BYTES, inside=run)
        if not 0 < np.prod(size_of(content, path.suffix), dtype=float) <= PIXELS:
            raise ValueError(f"{path} is no PNG file, or has more than {PIXELS:,} pixels")
        with opened(path, content) as image:
            return untile(np.asarray(image.convert("RGB")), height, width)

    return images
