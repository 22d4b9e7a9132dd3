"""The shipped digits network."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from genbench.data import Digits, ImageData
from genbench.data.source import file_digest
from genbench.metrics import AutoFeatures, ClassifierFeatures, DigitsFeatures
from genbench.metrics import digits as shipped
from genbench.metrics.cache import load
from genbench.progress import Progress

CPU = torch.device("cpu")
QUIET = Progress(None)


class Wide(Digits):
    """Digits that claim another shape."""

    shape = (3, 8, 8)


def test_the_shipped_file_is_the_one_that_was_tested() -> None:
    assert file_digest(shipped.WEIGHTS) == shipped.SHA256


def test_it_knows_98_of_100_held_out_digits(digits: ImageData) -> None:
    extractor = AutoFeatures().build(digits, device=CPU, progress=QUIET)
    features, logits = extractor(digits.test.images)
    assert extractor.protocol == "digits-cnn-v1"
    assert features.shape == (359, extractor.num_features) == (359, 64)
    assert float((logits.argmax(1) == digits.test.labels).float().mean()) >= 0.98


def test_digits_in_black_and_white_get_features_of_their_own() -> None:
    assert isinstance(AutoFeatures().choice(Digits()), DigitsFeatures)
    assert isinstance(AutoFeatures().choice(Digits(binarize=True)), ClassifierFeatures)


def test_features_of_an_image_do_not_depend_on_its_batch(digits: ImageData) -> None:
    extractor = DigitsFeatures().build(digits, device=CPU, progress=QUIET)
    whole, part = extractor(digits.test.images[:50]).features, extractor(digits.test.images[:7]).features
    torch.testing.assert_close(whole[:7], part, rtol=1e-5, atol=1e-5)  # float32 sums in another order


def test_an_extractor_in_training_mode_refuses_to_work(digits: ImageData) -> None:
    extractor = DigitsFeatures().build(digits, device=CPU, progress=QUIET)
    extractor.network.train()
    with pytest.raises(RuntimeError, match="training mode"):
        extractor(digits.test.images[:2])


def test_an_extractor_refuses_floats(digits: ImageData) -> None:
    extractor = DigitsFeatures().build(digits, device=CPU, progress=QUIET)
    with pytest.raises(TypeError, match="to_uint8"):
        extractor(torch.zeros(2, 1, 8, 8))


def test_images_of_another_shape_are_refused_before_any_work() -> None:
    with pytest.raises(ValueError, match=r"\(3, 8, 8\).*features=classifier"):
        DigitsFeatures().check(Wide())
    DigitsFeatures().check(Digits())


def test_a_damaged_shipped_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "digits.safetensors"
    damaged.write_bytes(shipped.WEIGHTS.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(shipped, "WEIGHTS", damaged)
    with pytest.raises(ValueError, match="install genbench again"):
        DigitsFeatures().check(Digits())


@pytest.mark.slow
def test_training_it_again_gives_the_same_file(tmp_path: Path) -> None:
    out = tmp_path / "again.safetensors"
    command = [sys.executable, "-m", "genbench.metrics.digits_cnn", "--out", str(out)]
    subprocess.run(command, check=True, timeout=600)
    if file_digest(out) != shipped.SHA256:  # another kind of CPU sums in another order: as good, not the same
        accuracy = float(str(load(out).facts["accuracy"]))
        assert accuracy == pytest.approx(float(str(load(shipped.WEIGHTS).facts["accuracy"])), abs=0.012)
