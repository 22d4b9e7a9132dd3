"""Distances within classes."""

import pytest
import torch

from genbench.metrics import ClassFID, Moments, frechet_distance
from tests.metrics.sets import correlated, drawn_of, reference_of

REAL_Y, FAKE_Y = torch.arange(300) % 3, torch.arange(90) % 3
REAL = correlated(300, 4, 0) + 5 * REAL_Y[:, None]
FAKE = correlated(90, 4, 1) + 5 * FAKE_Y[:, None]


def scores(fake: torch.Tensor, y: torch.Tensor | None, real_y: torch.Tensor = REAL_Y) -> dict[str, float]:
    return ClassFID().compute(drawn_of(fake, labels=y), [reference_of(REAL, labels=real_y)])


def test_it_is_the_mean_of_the_distances_between_samples_and_images_of_one_class() -> None:
    found = scores(FAKE, FAKE_Y)
    classes = [frechet_distance(Moments.of(FAKE[k::3]), Moments.of(REAL[k::3])) for k in range(3)]
    for k in range(3):
        assert found[f"fid_class[f,n=90,class={k},ref=train,ema]"] == pytest.approx(classes[k], rel=1e-12)
    assert found["fid_class[f,n=90,classes=3,ref=train,ema]"] == pytest.approx(sum(classes) / 3, rel=1e-12)


def test_samples_of_the_wrong_classes_are_far_although_the_whole_set_is_the_same() -> None:
    name = "fid_class[f,n=90,classes=3,ref=train,ema]"
    right, wrong = scores(FAKE, FAKE_Y)[name], scores(FAKE, (FAKE_Y + 1) % 3)[name]
    assert wrong > 50 + right  # |5|^2 x 4 features, and |10|^2 x 4


def test_the_mean_over_classes_spreads_over_sets_as_its_error_says() -> None:
    rows = []
    for seed in range(100):
        found = scores(correlated(90, 4, 500 + seed, shift=1.0) + 5 * FAKE_Y[:, None], FAKE_Y)
        mean = {name: value for name, value in found.items() if ",class=" not in name}
        rows.append(list(mean.values()))
    value, _, _, se = torch.tensor(rows, dtype=torch.float64).T
    # 100 values know a deviation to 7 %; samples of 30 in 4 dimensions add as much of second order
    assert float(se.mean()) == pytest.approx(float(value.std()), rel=0.3)


def test_a_class_without_two_samples_is_left_out_and_the_name_says_how_many_are_in() -> None:
    y = FAKE_Y.clone()
    y[y == 2] = 1
    y[0] = 2
    found = scores(FAKE, y)
    assert "fid_class[f,n=90,classes=2,ref=train,ema]" in found
    assert not any("class=2" in name for name in found)


def test_without_labels_there_is_none() -> None:
    assert scores(FAKE, None) == {}
    assert ClassFID().compute(drawn_of(FAKE, labels=FAKE_Y), [reference_of(REAL)]) == {}


def test_classes_drawn_in_other_numbers_have_the_same_names() -> None:
    """As the random classes of two seeds are."""
    other = torch.cat([torch.zeros(20), torch.ones(40), torch.full((30,), 2)]).long()
    assert scores(FAKE, FAKE_Y).keys() == scores(FAKE, other).keys()
