"""Draw the figures of the families: `python -m docs_tools.figures RUNS [RUNS ..] --out docs/img`.

RUNS: folders with runs of the families, such as those of `python main.py -m sweep=families`; of each family
the first finished run is shown. A family without a run there, such as autoencoder and diffusers, which the
sweep leaves out, keeps the figure that it has.
"""

import argparse
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from docs_tools.figures.data_flow import draw
from docs_tools.figures.stages import FAMILIES
from genbench import app
from genbench.data import prepare, to_float
from genbench.records.run_directory import Run
from genbench.runtime.progress import Progress

SHOWN = (0, 7, 29)
"""Numbers of the training images in the figures."""


def main() -> None:
    """Draw a figure for each family that has a finished run in the folders of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, help="folders with runs")
    parser.add_argument("--out", type=Path, default=Path("docs/img"), help="folder of the figures")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    for family, run in families(asked.runs):
        path = asked.out / f"{family}.png"
        draw(app.load(run, device="cpu"), images(run), FAMILIES[family], path)
        print(f"{path}: {run}, {path.stat().st_size:,} bytes")


def families(folders: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Yield each family with the first of its finished runs, by name, in the folders."""
    found = dict[str, Path]()
    for record in sorted(path for folder in folders for path in folder.rglob("run.json")):
        result = Run(record.parent).finished_result()
        family = result.choices.get("model", "") if result is not None else ""
        if family in FAMILIES:
            found.setdefault(family, record.parent)
    yield from sorted(found.items())


def images(run: Path) -> Tensor:
    """Return the training images of a run's data that are shown: (n, C, H, W) in [-1, 1]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, _, _ = app.measuring(of_run=run)
    data = prepare(source, progress=Progress(None))
    return to_float(data.train.images[list(SHOWN)])


if __name__ == "__main__":
    main()
