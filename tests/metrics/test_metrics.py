"""The settings of an evaluation, and what importing them costs."""

import subprocess
import sys

import pytest
import torch

from genbench.data import ImageData, Split
from genbench.metrics import DigitsFeatures, Metrics


def test_as_many_samples_as_the_test_split_is_the_default() -> None:
    assert Metrics(DigitsFeatures()).samples is None


@pytest.mark.parametrize(
    "wrong",
    [{"samples": 19}, {"batch_size": 0}, {"splits": 1}, {"kid_subsets": 0}, {"kid_subset_size": 1}],
)
def test_settings_that_no_score_can_be_taken_under_are_refused_with_the_legal_range(
    wrong: dict[str, int],
) -> None:
    with pytest.raises(ValueError, match=r"and above|or more"):
        Metrics(DigitsFeatures(), **wrong)


def test_a_test_split_too_small_to_score_is_refused_before_training() -> None:
    split = Split(torch.zeros(6, 1, 8, 8, dtype=torch.uint8), None)
    data = ImageData("few", split, split, (), 0, False, "key", (1, 8, 8))
    with pytest.raises(ValueError, match="test split of few has 6 images; scores need 20 or more"):
        Metrics(DigitsFeatures()).check_data(data)
    Metrics(DigitsFeatures(), splits=3).check_data(data)


def test_importing_the_package_does_not_import_torchmetrics_or_torchvision() -> None:
    code = "import sys, genbench.metrics; print({'torchmetrics', 'torchvision', 'scipy'} & set(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert answer.stdout.strip() == "set()"
