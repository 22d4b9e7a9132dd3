import json
import warnings
from pathlib import Path

import pytest
import torch

from genbench.data import ImageSource, Split, prepare
from genbench.errors import Damaged
from genbench.records.texts import MOST_CHARACTERS, cleaned
from genbench.runtime.progress import Progress

QUIET = Progress(None)
Ramp = type[ImageSource]


def words(split: str) -> list[str]:
    """A caption for each image of a ramp, with letters of one to four bytes."""
    return [f"{split} Bild {i} größer: 猫 🐈" for i in range(12 if split == "train" else 4)]


def store_of(cache: Path) -> Path:
    (found,) = (path for path in (cache / "data").iterdir() if path.suffix != ".lock")
    return found


def test_captions_come_back_from_the_store_as_the_source_gave_them(ramp: Ramp, tmp_path: Path) -> None:
    data = prepare(ramp(texts=words), cache=tmp_path, progress=QUIET)
    for name, split in (("train", data.train), ("test", data.test)):
        assert split.captions is not None
        assert list(split.captions) == words(name)
        assert split.captions[-1] == words(name)[-1]
        assert split.captions[1:3] == words(name)[1:3]
        with pytest.raises(IndexError):
            split.captions[len(split)]
    again = prepare(ramp(texts=lambda split: []), cache=tmp_path, progress=QUIET)  # which is not asked again
    assert list(again.train.captions) == words("train")


def test_white_space_in_a_caption_becomes_one_space(ramp: Ramp, tmp_path: Path) -> None:
    source = ramp(
        texts=lambda split: [f" a\tcat\r\n on {i}\u2028 mats " for i in range(source.counts()[split])]
    )
    data = prepare(source, cache=tmp_path, progress=QUIET)
    assert list(data.test.captions) == [f"a cat on {i} mats" for i in range(4)]


def test_a_store_without_captions_is_as_it_was_before_there_were_any(ramp: Ramp, tmp_path: Path) -> None:
    data = prepare(ramp(), cache=tmp_path, progress=QUIET)
    assert data.train.captions is None
    header = json.loads((store_of(tmp_path) / "header.json").read_text())["header"]
    assert sorted(header) == ["bytes", "counts", "crc32", "key", "sha256", "shape"]
    assert sorted(header["crc32"]) == ["test.images", "test.labels", "train.images", "train.labels"]


def test_parts_of_a_split_have_the_captions_of_their_images(ramp: Ramp, tmp_path: Path) -> None:
    source = ramp(texts=words)
    source.validation = 0.25
    data = prepare(source, cache=tmp_path, progress=QUIET)
    assert data.validation is not None
    for part in (data.train, data.validation):
        assert part.captions is not None
        assert part.rows is not None
        assert list(part.captions) == [words("train")[row] for row in part.rows.tolist()]
    assert list(data.whole_train.captions) == words("train")


def test_damaged_captions_make_the_store_anew_and_later_damage_is_noticed(ramp: Ramp, tmp_path: Path) -> None:
    prepare(ramp(texts=words), cache=tmp_path, progress=QUIET)
    file = store_of(tmp_path) / "train.captions"
    file.write_bytes(file.read_bytes().replace(b"train", b"TRAIN", 1))
    with pytest.warns(UserWarning, match=r"checksum of train\.captions is wrong"):
        data = prepare(ramp(texts=words), cache=tmp_path, progress=QUIET)
    assert list(data.train.captions) == words("train")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = prepare(ramp(texts=words), cache=tmp_path, progress=QUIET)
    file.write_bytes(b"x" * len(file.read_bytes()))
    with pytest.raises(Damaged, match=r"train\.captions was changed"):
        data.train.captions[0]


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("", "the caption is empty"),
        (" \n\t", "the caption is empty"),
        ("x" * (MOST_CHARACTERS + 1), "has 10,001 characters, more than the 10,000 that are read"),
        ("a \x00 cat", r"holds a control character, '\x00'"),
        ("a \x1b[31mred\x1b[0m cat", r"holds a control character, '\x1b'"),
        ("half \ud83d", r"holds half of a surrogate pair, '\ud83d'"),
        (7, "the caption is 7, not a text"),
        (["a cat"], "not a text: write it in quotes"),
    ],
)
def test_what_is_no_caption_is_refused_and_leaves_no_store(
    caption: str, message: str, ramp: Ramp, tmp_path: Path
) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        prepare(ramp(texts=lambda split: ["fine", caption, *["x"] * 10]), cache=tmp_path, progress=QUIET)
    assert str(error.value).startswith("train image 1 of ramp: ")
    assert message in str(error.value)
    assert [path for path in (tmp_path / "data").iterdir() if path.suffix != ".lock"] == []


def test_a_source_needs_a_caption_for_each_image(ramp: Ramp, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ramp has 3 train captions for 12 images"):
        prepare(ramp(texts=lambda split: ["one", "two", "three"]), cache=tmp_path, progress=QUIET)
    with pytest.raises(ValueError, match="captions are 2; 3 images need as many"):
        Split(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), None, captions=["a", "b"])


def test_the_longest_caption_and_letters_of_all_kinds_are_kept() -> None:
    assert cleaned("é" * MOST_CHARACTERS) == "é" * MOST_CHARACTERS
    assert cleaned("👩\u200d🚀 \u202eabc") == "👩\u200d🚀 \u202eabc"  # printed spelt out, not refused


def test_a_set_without_captions_says_so_where_text_needs_them(ramp: Ramp) -> None:
    ramp(texts=words).check_captions()
    with pytest.raises(ValueError, match="needs captions, and ramp has none: choose data with captions"):
        ramp().check_captions()
