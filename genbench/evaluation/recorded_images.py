"""Images that another tool made as a row of reports: a folder among runs, with their scores and a picture."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from genbench.evaluation.given_images import GivenImages
from genbench.evaluation.pictures import save_grid
from genbench.records.files import write_json_atomic
from genbench.records.result import VERSION
from genbench.runtime.disk import whole_folder

__all__ = ["Row", "folder_of_row", "record_images"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,39}")
SHOWN = 64  # images of the picture
STATUS = "given images"


class Row(NamedTuple):
    """Facts of given images that a report shows beside their scores."""

    target: str  # where the images came from, as the user wrote it
    name: str  # of the row, in the place of a model
    data: str  # the option of the data set
    config: Mapping[str, Any]  # the resolved configuration of the data set


def folder_of_row(runs_dir: Path, name: str, data: str, seed: int) -> Path:
    """Return the folder among runs in which given images are recorded: RUNS/mine-digits-seed0.

    Raises ValueError where the name is not a plain word, the folder is there already, since nothing is
    overwritten, or it would lie inside a run, where no report looks for another one.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"--as is {name!r}; it must be 1 to 40 letters, digits and _ . + -, the first a letter or digit"
        )
    for place in (runs_dir.absolute(), *runs_dir.absolute().parents):
        if (place / "run.json").exists() or (place / "result.json").exists():
            raise ValueError(f"--record {runs_dir} is in the run {place}: name a directory of runs")
    folder = runs_dir / f"{name}-{data}-seed{seed}"
    if folder.exists() or folder.is_symlink():
        raise ValueError(f"{folder} exists, and is not overwritten: choose another name by --as")
    return folder


def record_images(given: GivenImages, record: Mapping[str, Any], row: Row, folder: Path) -> None:
    """Write the result.json of given images and a grid of the first of them, which reports show as a row.

    given: the images, (N, C, H, W) uint8; record: their line of evaluations.jsonl; folder: of
    `folder_of_row`. Scores stay under their own names (`given`), costs and likelihood are absent. Raises
    OSError where the disk does not allow it; nothing remains then.
    """
    grid = Path("samples") / "samples_000000000.png"
    asked = {"conditional": "true"} if given.labels is not None else {}
    if given.captions is not None:
        asked = {"text": "given"}
    content = hashlib.sha256(given.images.numpy().tobytes())
    if given.labels is not None:
        content.update(given.labels.numpy().tobytes())
    if given.captions is not None:
        content.update("\n".join(given.captions).encode())
    result = {
        **{key: record[key] for key in ("genbench", "data_key", "seed", "metrics")},
        **{key: record[key] for key in ("kinds", "feature_networks") if key in record},
        "group": folder.parent.name,
        "run": folder.name,
        "status": STATUS,
        "identity": hashlib.sha256(f"{row.name} {content.hexdigest()}".encode()).hexdigest(),
        "choices": {"model": row.name, "data": row.data, **asked},
        "config": {"data": dict(row.config)},
        "samples": {"grid": str(grid)},
        "given": {"target": row.target, "images": len(given.images), "when": record["when"]},
        "version": VERSION,
    }
    with whole_folder(folder):
        (folder / grid.parent).mkdir(parents=True)
        save_grid(given.images[:SHOWN], folder / grid)
        write_json_atomic(folder / "result.json", result)  # last: a folder without it is no row
