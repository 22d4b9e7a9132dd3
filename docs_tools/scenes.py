"""The figure docs/img/scenes.png: test scenes of data=captioned with their captions.

`python -m docs_tools.scenes` draws it, half of the scenes with a combination that no training scene has.
"""

import textwrap
from pathlib import Path

from matplotlib.figure import Figure

from genbench.data import CaptionedScenes

FIGURE = Path(__file__).resolve().parents[1] / "docs" / "img" / "scenes.png"
SHOWN = 5
"""Number of scenes in each row."""


def main() -> None:
    """Draw the first test scenes, a row without and a row with held-out combinations."""
    source = CaptionedScenes(train=2, test=4 * SHOWN)
    images, captions = [image for image, _ in source.decode("test")], source.captions("test")
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    grid = figure.subplots(2, SHOWN)
    for number, axes in enumerate(grid.T.flat):  # column by column: odd numbers are in the second row
        axes.imshow(images[number], cmap="gray", interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_xlabel(textwrap.fill(captions[number], 26), fontsize=8)
    for axes, name in zip(grid[:, 0], ("seen", "held out"), strict=True):
        axes.set_ylabel(name)
    figure.savefig(FIGURE, dpi=100)


if __name__ == "__main__":
    main()
