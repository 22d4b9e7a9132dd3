"""Sets of the Hub of Hugging Face, read from Parquet files alone, so that nothing of them is executed."""

import hashlib
import math
import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genbench.data.image_reading import large_images, load
from genbench.data.source import ImageSource, digest
from genbench.records.titles import folder_title
from genbench.runtime.downloads import may_download

__all__ = ["HuggingFace"]

COMMIT = re.compile(r"[0-9a-f]{40}")
HELD_OUT = ("test", "validation", "valid", "val", "dev")
"""Names of splits, of which the first that a set has is its test split."""
CAPTIONS = ("text", "caption")
"""Names of columns that are captions without being named so by the user."""


class Columns(NamedTuple):
    """The names of the columns that are read; "" where a set has none of the kind."""

    image: str
    label: str
    caption: str


class HuggingFace(ImageSource):
    """Images of a set of the Hub of Hugging Face, or of a folder of Parquet files, as squares of `size`
    pixels in 1 or 3 channels, cropped and resized as those of an image folder are.

    name: USER/NAME, or a folder. revision: the commit, 40 hex digits, of a set of the Hub. subset: the name
    of one of its configurations. split: the one to train on; the test split is the first of HELD_OUT that
    there is, or the test_fraction of the rows whose numbers have the smallest sha256.
    image, label, caption: names of columns; "auto" takes the first column of images, the first of classes,
    and `text` or `caption`; "none" reads no labels, no captions.
    Only Parquet is read, by the library `datasets`, of version 4 or later, which runs no code of a set.
    Raises ValueError on values out of range.
    """

    def __init__(
        self,
        name: str,
        *,
        revision: str | None = None,
        subset: str | None = None,
        split: str = "train",
        image: str = "auto",
        label: str = "auto",
        caption: str = "auto",
        size: int = 64,
        channels: int = 3,
        flip: bool = True,
        test_fraction: float = 0.1,
        validation: float | None = None,
    ) -> None:
        super().__init__(validation=validation)
        if channels not in (1, 3):
            raise ValueError(f"data.channels is {channels}; choose from 1 (grey) and 3 (RGB)")
        if not 1 <= size <= 8192:
            raise ValueError(f"data.size is {size}; it must be from 1 to 8,192 pixels")
        if not 0 < test_fraction < 1:
            raise ValueError(f"data.test_fraction is {test_fraction}; it must be a number between 0 and 1")
        self.place, self.revision, self.subset, self.split = name, revision, subset, split
        self.asked = Columns(image, label, caption)
        self.shape, self.flip, self.test_fraction = (channels, size, size), flip, test_fraction
        self.name = folder_title(Path(name).name, size)

    @cached_property
    def is_local(self) -> bool:
        """True where the name is that of a folder of this machine."""
        return Path(self.place).expanduser().is_dir()

    def check(self) -> None:
        """Raise ValueError where the library or the commit is missing, and where a set is not as it should
        be; FileNotFoundError where it cannot be had.
        """
        assert self.columns

    def check_pinned(self) -> None:
        """Raise ValueError unless the commit of a set of the Hub is stated, which is part of the identity."""
        if self.is_local or COMMIT.fullmatch(self.revision or ""):
            return
        raise ValueError(
            f"data.revision is {self.revision}; give the commit of {self.place}, 40 hex digits, so that the "
            f"run names its images: {latest_commit(self.place, self.revision)}"
        )

    def check_allowed(self, cache: Path) -> None:
        """Raise ValueError where a recorded configuration, which may be a stranger's, names a set of the Hub
        that was not loaded here before. cache: the folder of the library, with SET/SUBSET/VERSION/COMMIT.
        """
        if self.is_local or may_download() or any(cache.expanduser().glob(f"*/*/*/{self.revision}")):
            return
        raise ValueError(
            f"data.name is {self.place}, which is not in {cache}; a recorded configuration downloads "
            "nothing: load its Parquet files yourself, and name their folder as data.name"
        )

    @cached_property
    def tables(self) -> dict[str, Any]:
        """The tables of the training and the test split, or of the one that both are taken from, by split.

        Raises as `check` does.
        """
        library = imported()
        self.check_pinned()
        self.check_allowed(Path(library.config.HF_DATASETS_CACHE))
        place = str(Path(self.place).expanduser()) if self.is_local else self.place
        where = {"name": self.subset, "revision": None if self.is_local else self.revision}
        try:
            builder = library.load_dataset_builder(place, **where)
            check_parquet(builder, self.place)
            splits = {"train": self.split} | self.held_out(list(builder.config.data_files))
            found = library.load_dataset(place, split=list(splits.values()), **where)
        except (OSError, RuntimeError, library.exceptions.DatasetsError) as error:
            raise FileNotFoundError(
                f"data.name is {self.place}, which cannot be loaded ({' '.join(str(error).split())[:300]}): "
                "give USER/NAME of a set on the Hub, or a folder of Parquet files"
            ) from error
        return dict(zip(splits, found, strict=True))

    def held_out(self, there: list[str]) -> dict[str, str]:
        """Return the test split among those that are `there` as {"test": its name}, {} for none. Raises
        ValueError where the split to train on is not there.
        """
        if self.split not in there:
            raise ValueError(f"data.split is {self.split!r}; {self.place} has {', '.join(there)}")
        names = [name for name in HELD_OUT if name in there and name != self.split]
        return {"test": names[0]} if names else {}

    @cached_property
    def columns(self) -> Columns:
        """The columns that are read, of both splits. Raises ValueError where one that is asked for, or any
        with images, is missing.
        """
        library, features = imported(), self.tables["train"].features
        kinds = {
            "image": [name for name, kind in features.items() if isinstance(kind, library.Image)],
            "label": [name for name, kind in features.items() if isinstance(kind, library.ClassLabel)],
            "caption": [name for name in CAPTIONS if features.get(name) == library.Value("string")],
        }
        found = Columns(*(self.column(kind, names, list(features)) for kind, names in kinds.items()))
        if not found.image:
            raise ValueError(
                f"{self.place} has no column that is known to hold images: name one by data.image, of "
                f"{', '.join(features)}"
            )
        if set(found) - {""} - set(self.tables.get("test", self.tables["train"]).features):
            raise ValueError(f"{self.place}: the test split lacks one of {', '.join(filter(None, found))}")
        return found

    def column(self, kind: str, names: list[str], there: list[str]) -> str:
        """Return the name of the column of a kind, of those that look like it; "" for none. Raises ValueError
        where the one that is asked for is not there.
        """
        asked = self.asked._asdict()[kind]
        if asked == "none":
            return ""
        if asked == "auto":
            return names[0] if names else ""
        if asked not in there:
            raise ValueError(f"data.{kind} is {asked!r}; {self.place} has {', '.join(there)}")
        return asked

    @cached_property
    def labels(self) -> dict[str, Any]:
        """The column of labels of each table, as the set has them: numbers or words."""
        return {split: list(table[self.columns.label]) for split, table in self.tables.items()}

    @cached_property
    def class_names(self) -> tuple[str, ...]:  # type: ignore[override]  # computed at its first use
        if not self.columns.label:
            return ()
        feature = self.tables["train"].features[self.columns.label]
        if isinstance(feature, imported().ClassLabel):
            return tuple(feature.names)
        found = self.labels["train"]
        if not (all(isinstance(x, int) for x in found) or all(isinstance(x, str) for x in found)):
            kinds = ", ".join(sorted({type(x).__name__ for x in found}))
            raise ValueError(
                f"data.label is {self.columns.label}, whose cells are of the type {kinds}; classes are whole "
                "numbers or words, none missing: name another column, or data.label=none"
            )
        return tuple(map(str, sorted(set(found))))

    @cached_property
    def num_classes(self) -> int:  # type: ignore[override]
        return len(self.class_names)

    @cached_property
    def captioned(self) -> bool:  # type: ignore[override]
        return bool(self.columns.caption)

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """The numbers of the rows of each split in its table, ascending, (n,) int64."""
        if "test" in self.tables:
            return {split: np.arange(len(table)) for split, table in self.tables.items()}
        n = len(self.tables["train"])
        ranked = sorted(range(n), key=lambda row: hashlib.sha256(str(row).encode()).digest())
        held = max(1, round(n * self.test_fraction))
        return {"train": np.sort(ranked[held:]), "test": np.sort(ranked[:held])}

    def table(self, split: str) -> Any:  # noqa: ANN401 (of a library without annotations)
        """Return the table that the rows of a split are in."""
        return self.tables.get(split, self.tables["train"])

    def key(self) -> str:
        parts = [f"shape {self.shape}, centre square, lanczos", self.place, str(self.revision)]
        parts += [str(self.subset), self.split, *self.columns, *self.class_names]
        parts += [f"{split} {len(rows)}" for split, rows in self.rows.items()]
        if self.is_local:
            for file in sorted(Path(self.place).expanduser().rglob("*.parquet")):
                found = os.stat(file)
                parts.append(f"{file.name} {found.st_size} {found.st_mtime_ns}")
        return digest(parts)

    def counts(self) -> dict[str, int]:
        return {split: len(rows) for split, rows in self.rows.items()}

    def hold_out(self, n: int) -> str:
        share = math.ceil(100 * n / sum(self.counts().values())) / 100
        return f"data.test_fraction={share}" if "test" not in self.tables and share <= 0.5 else ""

    def captions(self, split: str) -> list[str]:
        column = self.table(split)[self.columns.caption]
        return [column[int(row)] for row in self.rows[split]]

    def decode(self, split: str) -> Iterator[tuple[np.ndarray, int]]:
        library, names = imported(), {name: number for number, name in enumerate(self.class_names)}
        column, label = self.columns.image, self.columns.label
        table = self.table(split)
        if isinstance(table.features[column], library.Image):  # else its cells are bytes already
            table = table.cast_column(column, library.Image(decode=False))
        is_named = isinstance(table.features.get(label), library.ClassLabel)
        for row in self.rows[split].tolist():
            entry = table[row]
            image = self.picture(entry[column], Path(f"{self.place}, {split} row {row}"))
            if not label:
                yield image, -1
            else:
                yield image, entry[label] if is_named else self.number(entry[label], names, split, row)

    def number(self, label: object, names: dict[str, int], split: str, row: int) -> int:
        """Return the number of a label. Raises ValueError, with its row, where the training has none such."""
        if str(label) not in names:
            raise ValueError(
                f"{self.place}, {split} row {row} has {label!r} in {self.columns.label}, a class without "
                "training images: name another column by data.label, or data.label=none"
            )
        return names[str(label)]

    def picture(self, cell: Any, where: Path) -> np.ndarray:  # noqa: ANN401
        """Read an image from a cell of a table: (H, W, C) uint8. Raises ValueError, with its row, where the
        cell has no bytes, such as the name of a file, which is not opened, or they are no image.
        """
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(content, bytes):
            raise ValueError(
                f"{where} holds no image in {self.columns.image}: name another column by data.image, or "
                "choose a set whose Parquet files hold the images themselves"
            )
        with large_images():
            return load(where, self.shape, content=content)


def imported() -> Any:  # noqa: ANN401
    """Return the library `datasets`. Raises ValueError, with the command that installs it, where it is
    missing or of a version that runs code of sets.
    """
    try:
        import datasets
    except ImportError as error:
        raise ValueError(
            'data=huggingface needs the library datasets: pip install "genbench[datasets]"'
        ) from error
    if int(datasets.__version__.split(".")[0]) < 4:
        raise ValueError(
            f"data=huggingface needs version 4 of the library datasets, which runs no code of a set, and "
            f'{datasets.__version__} is installed: pip install "genbench[datasets]"'
        )
    return datasets


def check_parquet(builder: Any, name: str) -> None:  # noqa: ANN401
    """Raise ValueError unless a set consists of Parquet files, which hold values and nothing to execute."""
    if type(builder).__module__ != "datasets.packaged_modules.parquet.parquet":
        raise ValueError(
            f"{name} has no Parquet files at this commit, the only ones that are read: give the commit of "
            "the Hub's own conversion as data.revision, at the head of refs/convert/parquet, or take its "
            "files as data=image_folder"
        )


def latest_commit(name: str, revision: str | None) -> str:
    """Say which commit a branch of a set has, main where `revision` is None, or where to look it up."""
    library = imported()
    try:
        commit = str(library.load_dataset_builder(name, revision=revision).hash) if may_download() else ""
    except (OSError, RuntimeError, ValueError, library.exceptions.DatasetsError):
        commit = ""  # of the network or of the Hub: the remedy is the same
    if COMMIT.fullmatch(commit):
        return f"data.revision={commit}"
    return f"it stands at https://huggingface.co/datasets/{name}/commits"
