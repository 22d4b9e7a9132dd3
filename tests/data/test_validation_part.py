"""The part that is set aside: fixed, of every class, and neither a copy nor empty."""

from pathlib import Path

import pytest
import torch

from genbench.data import Digits, Gaussians, ImageData, Split, prepare
from genbench.data.validation_part import validation_rows
from genbench.runtime.progress import Progress

LABELS = torch.arange(100) % 7


def test_a_share_of_each_class_is_set_aside() -> None:
    rows = validation_rows(1000, torch.arange(1000) % 7, 0.1, "key")
    counts = torch.bincount(torch.arange(1000)[rows] % 7)
    assert counts.tolist() == [14] * 7
    assert rows.tolist() == sorted(set(rows.tolist()))


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_every_class_is_in_both_parts_whatever_the_share(share: float) -> None:
    chosen = torch.zeros(100, dtype=torch.bool)
    chosen[validation_rows(100, LABELS, share, "key")] = True
    assert set(LABELS[chosen].tolist()) == set(LABELS[~chosen].tolist()) == set(range(7))


def test_the_only_image_of_a_class_is_trained_on() -> None:
    labels = torch.tensor([0, 0, 0, 1, 2])
    assert set(validation_rows(5, labels, 0.4, "key").tolist()) < {0, 1, 2}
    assert len(validation_rows(3, torch.tensor([0, 1, 2]), 0.1, "key")) == 1  # no class has two


def test_the_part_follows_from_the_key_alone_and_a_larger_share_contains_it() -> None:
    first, again, other = (validation_rows(100, LABELS, 0.2, key) for key in ("a", "a", "b"))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert set(first.tolist()) < set(validation_rows(100, LABELS, 0.4, "a").tolist())


def test_images_without_labels_are_one_class_and_a_single_one_is_refused() -> None:
    assert len(validation_rows(50, None, 0.1, "key")) == 5
    assert len(validation_rows(2, None, 0.99, "key")) == 1
    with pytest.raises(ValueError, match="1 image"):
        validation_rows(1, None, 0.1, "key")


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_other_shares_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"data\.validation is .* between 0 and 1"):
        Digits(validation=share)


def test_the_parts_divide_the_training_split_without_a_copy_of_its_images(tmp_path: Path) -> None:
    plain, data = (
        prepare(
            Gaussians(classes=3, train=200, test=10, validation=share),
            cache=tmp_path,
            progress=Progress(None),
        )
        for share in (None, 0.1)
    )
    assert plain.validation is None
    assert plain.whole_train is plain.train
    assert isinstance(data.validation, Split)
    assert (len(data.train), len(data.validation), len(data.whole_train)) == (180, 20, 200)
    parts = (data.train, data.validation)
    assert {part.stored_images.data_ptr() for part in parts} == {data.whole_train.images.data_ptr()}
    both = torch.cat([part.rows for part in parts if part.rows is not None])
    assert both.sort().values.tolist() == list(range(200))
    images, labels = data.validation.gather(torch.arange(5), torch.device("cpu"))
    assert data.validation.rows is not None
    stored = data.validation.rows[:5]
    assert torch.equal(images, plain.train.images[stored])
    assert labels is not None
    assert plain.train.labels is not None
    assert torch.equal(labels, plain.train.labels[stored])
    assert torch.equal(data.validation.images[:5], images)


def test_the_key_of_the_images_is_the_same_and_that_of_a_training_is_not() -> None:
    split = Split(torch.zeros(20, 1, 2, 2, dtype=torch.uint8), None)
    plain = ImageData("toy", split, split, (), 0, False, "key", (1, 2, 2))
    tenth, half = plain.divided(0.1), plain.divided(0.5)
    assert plain.key == tenth.key == half.key == plain.training_key
    assert len({plain.training_key, tenth.training_key, half.training_key}) == 3
