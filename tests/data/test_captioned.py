"""Captioned scenes: real objects of the right split, with captions that are true of them."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from genbench.data import CaptionedScenes, Digits, FashionMnist
from genbench.data.captioned import JITTER, PLACE, SIDES
from genbench.data.scenes import has_held_out, parse, satisfied

N = 400


@pytest.fixture(scope="module")
def source() -> CaptionedScenes:
    return CaptionedScenes(train=N, test=N)


def test_every_caption_is_true_of_its_scene(source: CaptionedScenes) -> None:
    for split in ("train", "test"):
        captions = source.captions(split)
        assert len(captions) == N
        for number, caption in enumerate(captions):
            assert satisfied(source.scene(split, number), parse(caption)).right


def test_no_training_scene_has_a_held_out_combination_and_every_second_test_scene_has_one(
    source: CaptionedScenes,
) -> None:
    """A truth that a caption alone tells too."""
    for split, expected in (("train", [False] * N), ("test", [False, True] * (N // 2))):
        assert [has_held_out(source.scene(split, i), "digits") for i in range(N)] == expected
        assert [parse(caption).has_held_out for caption in source.captions(split)] == expected


def test_pictures_show_objects_of_their_own_split_in_their_places(source: CaptionedScenes) -> None:
    """A small object is an image of scikit-learn's digits, byte for byte; empty places are black."""
    digits = Digits()
    for split, other in (("train", "test"), ("test", "train")):
        own, others = (
            {image[..., 0].tobytes(): label for image, label in digits.decode(name)}
            for name in (split, other)
        )
        for number, (picture, label) in enumerate(islice(source.decode(split), 40)):
            assert (picture.shape, picture.dtype, label) == ((32, 32, 1), np.uint8, -1)
            for place, thing in enumerate(source.scene(split, number)):
                top, left = (PLACE * at for at in divmod(place, 2))
                cell = picture[top : top + PLACE, left : left + PLACE, 0]
                if thing is None:
                    assert not cell.any()
                    continue
                rows, columns = (np.flatnonzero(cell.any(axis)) for axis in (1, 0))
                margin = (PLACE - SIDES[thing.size]) // 2 - JITTER[thing.size]
                assert min(rows[0], columns[0]) >= margin
                assert max(rows[-1], columns[-1]) < PLACE - margin
                assert (rows[-1] - rows[0] >= 8) == (thing.size == 1)  # of the height of a digit
                if thing.size == 0:
                    windows = np.lib.stride_tricks.sliding_window_view(cell, (8, 8)).reshape(-1, 8, 8)
                    found = {own.get(window.tobytes()) for window in windows}
                    assert thing.item in found
                    assert not any(window.tobytes() in others for window in windows)


def test_fewer_scenes_are_the_first_of_more_and_another_set(source: CaptionedScenes) -> None:
    few = CaptionedScenes(train=10, test=4)
    assert few.captions("train") == source.captions("train")[:10]
    pairs = zip(few.decode("test"), source.decode("test"), strict=False)
    assert all(np.array_equal(a, b) for (a, _), (b, _) in pairs)
    assert few.key() != source.key()
    assert few.counts() == {"train": 10, "test": 4}


def test_training_and_test_scenes_are_different_draws(source: CaptionedScenes) -> None:
    scenes = [{source.scene(split, i) for i in range(N)} for split in ("train", "test")]
    assert len(scenes[0] & scenes[1]) < N // 20  # two objects are few: some meet


def test_articles_of_clothing_come_from_the_files_of_fashion_mnist() -> None:
    source = CaptionedScenes(items="fashion_mnist", train=50, test=50)
    assert (source.name, source.key() != CaptionedScenes(train=50, test=50).key()) == (
        "captioned_fashion_mnist",
        True,
    )
    assert isinstance(source.source, FashionMnist)
    assert any("ankle boot" in caption for caption in source.captions("train"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"items": "cats"}, "data.items is 'cats'; choose from digits, fashion_mnist"),
        ({"train": 1}, r"data.train is 1; it must be from 2 to 10,000,000"),
        ({"test": 0}, r"data.test is 0; it must be from 2"),
        ({"root": "somewhere"}, "data.root is somewhere, and the digits come with scikit-learn"),
        ({"validation": 2.0}, "validation"),
    ],
)
def test_settings_without_such_scenes_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CaptionedScenes(**settings)  # type: ignore[arg-type]


def test_a_folder_without_the_files_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data.root is .*does not hold fashion_mnist"):
        CaptionedScenes(items="fashion_mnist", root=str(tmp_path)).check()
