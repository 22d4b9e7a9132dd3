"""A folder of Parquet files in the layout of the Hub; nothing is downloaded."""

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from genbench.data import HuggingFace, prepare
from genbench.records.titles import data_name
from genbench.runtime.downloads import downloads
from genbench.runtime.progress import Progress

QUIET = Progress(None)
IMAGES = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("datasets", reason="the extra datasets is not installed")
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(library.config, "HF_DATASETS_OFFLINE", True)
    library.disable_progress_bars()


def png(image: np.ndarray) -> bytes:
    Image.fromarray(image).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def write(folder: Path, split: str, rows: Sequence[int], *, as_path: bool = False) -> None:
    """Write a split as sets of the Hub have it: data/SPLIT-00000-of-00001.parquet, features in its head."""
    import pyarrow
    from pyarrow import parquet

    words = {"dtype": "string", "_type": "Value"}
    features = {"picture": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    here = [{"bytes": png(IMAGES[i]), "path": f"{i}.png"} for i in rows]
    cells = [{"bytes": None, "path": "/etc/hostname"}] * len(rows) if as_path else here
    cell = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    table = pyarrow.table(
        {
            "picture": pyarrow.array(cells, cell),
            "label": pyarrow.array([i % 2 for i in rows], pyarrow.int64()),
            "text": [f"image {i}" for i in rows],
        }
    )
    head = {"huggingface": json.dumps({"info": {"features": features | {"text": words}}})}
    (folder / "data").mkdir(parents=True, exist_ok=True)
    file = folder / "data" / f"{split}-00000-of-00001.parquet"
    parquet.write_table(table.replace_schema_metadata(head), file)


def test_images_labels_and_captions_are_those_of_the_columns(tmp_path: Path) -> None:
    write(tmp_path / "pets", "train", range(7))
    write(tmp_path / "pets", "test", range(7, 10))
    source = HuggingFace(str(tmp_path / "pets"), size=8)
    data = prepare(source, progress=QUIET)
    assert torch.equal(data.train.images, torch.from_numpy(IMAGES[:7].transpose(0, 3, 1, 2).copy()))
    assert torch.equal(data.test.images, torch.from_numpy(IMAGES[7:].transpose(0, 3, 1, 2).copy()))
    assert (data.class_names, data.train.labels.tolist()) == (("cat", "dog"), [0, 1, 0, 1, 0, 1, 0])
    assert list(data.test.captions) == ["image 7", "image 8", "image 9"]
    config = {"data": {"_target_": "genbench.data.HuggingFace", "name": "a/pets", "size": 8}}
    assert source.name == data.name == data_name({"data": "huggingface"}, config) == "pets_8px"


def test_without_a_test_split_a_fraction_is_held_out(tmp_path: Path) -> None:
    write(tmp_path / "pets", "train", range(10))
    source = HuggingFace(str(tmp_path / "pets"), size=8, test_fraction=0.3, label="none", caption="none")
    data = prepare(source, progress=QUIET)
    assert (len(data.train), len(data.test), data.num_classes, data.test.captions) == (7, 3, 0, None)
    found = torch.cat([data.train.images, data.test.images]).flatten(1).unique(dim=0)
    assert len(found) == 10
    assert HuggingFace(str(tmp_path / "pets"), size=8, test_fraction=0.3).key() != source.key()
    assert source.hold_out(4) == "data.test_fraction=0.4"


def test_a_cell_that_names_a_file_of_this_machine_is_not_opened(tmp_path: Path) -> None:
    write(tmp_path / "pets", "train", range(4), as_path=True)
    with pytest.raises(ValueError, match=r"row \d holds no image in picture"):
        prepare(HuggingFace(str(tmp_path / "pets"), size=8), progress=QUIET)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"split": "nope"}, r"data\.split is 'nope'; .* has train"),
        ({"image": "photo"}, r"data\.image is 'photo'; .* has picture, label, text"),
        ({"image": "text"}, r"holds no image in text"),
        ({"label": "kind"}, r"data\.label is 'kind'"),
        ({"size": 0}, r"data\.size is 0"),
        ({"channels": 2}, r"data\.channels is 2"),
        ({"test_fraction": 1.0}, r"data\.test_fraction is 1\.0"),
    ],
)
def test_what_the_set_lacks_is_named(setting: dict[str, object], message: str, tmp_path: Path) -> None:
    write(tmp_path / "pets", "train", range(4))
    with pytest.raises(ValueError, match=message):
        prepare(HuggingFace(str(tmp_path / "pets"), **({"size": 8} | setting)), progress=QUIET)


def test_other_files_than_parquet_and_scripts_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "script.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")
    with pytest.raises((ValueError, FileNotFoundError)):
        prepare(HuggingFace(str(tmp_path / "script"), size=8), progress=QUIET)
    assert not (tmp_path / "sprung").exists()
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "train.jsonl").write_text('{"image": 1}\n')
    with pytest.raises(ValueError, match="has no Parquet files"):
        prepare(HuggingFace(str(tmp_path / "lines"), size=8), progress=QUIET)


@pytest.mark.parametrize("revision", [None, "main"])
def test_a_set_of_the_hub_wants_its_commit(revision: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = SimpleNamespace(hash=COMMIT)
    monkeypatch.setattr("datasets.load_dataset_builder", lambda name, revision: builder)
    with (
        downloads(allowed=True),
        pytest.raises(ValueError, match=rf"data\.revision is {revision}; .*data\.revision={COMMIT}"),
    ):
        HuggingFace("somebody/pets", revision=revision).check()


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r'pip install "genbench\[datasets\]"'):
        HuggingFace("somebody/pets", revision=COMMIT).check()


def write_labels(folder: Path, split: str, cells: Sequence[object]) -> None:
    """Write a split whose images are bytes and whose labels are plain cells, without named classes."""
    import pyarrow
    from pyarrow import parquet

    folder.mkdir(exist_ok=True)
    pictures = [png(IMAGES[i]) for i in range(len(cells))]
    table = pyarrow.table({"picture": pictures, "kind": pyarrow.array(cells)})
    parquet.write_table(table, folder / f"{split}-00000-of-00001.parquet")


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (["cat", None, "dog"], ["cat"], r"data\.label is kind, .* type NoneType, str; classes are"),
        ([0.5, 1.5, 2.0], [0.5], r"data\.label is kind, .* type float"),
        (["cat", "dog"], ["cat", "cow"], r"test row 1 has 'cow' in kind, a class without training images"),
    ],
)
def test_cells_that_are_no_classes_are_refused(
    train: list[object], test: list[object], message: str, tmp_path: Path
) -> None:
    write_labels(tmp_path / "pets", "train", train)
    write_labels(tmp_path / "pets", "test", test)
    source = HuggingFace(str(tmp_path / "pets"), size=8, image="picture", label="kind")
    with pytest.raises(ValueError, match=message):
        prepare(source, progress=QUIET)


def test_a_recorded_configuration_reads_only_sets_that_were_loaded_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()

    def load(place: str, **where: object) -> None:
        asked.append(place)
        raise OSError("no network")

    monkeypatch.setattr("datasets.load_dataset_builder", load)
    with pytest.raises(ValueError, match="a recorded configuration downloads nothing: load"):
        HuggingFace("somebody/pets", revision=COMMIT).check()
    with pytest.raises(ValueError, match=r"revision is None; .*commits/?"):
        HuggingFace("somebody/pets").check()
    assert asked == []
    with downloads(allowed=True), pytest.raises(FileNotFoundError, match="no network"):
        HuggingFace("somebody/pets", revision=COMMIT).check()
    (tmp_path / "hf" / "somebody___pets" / "default" / "0.0.0" / COMMIT).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no network"):
        HuggingFace("somebody/pets", revision=COMMIT).check()
    assert len(asked) == 2
