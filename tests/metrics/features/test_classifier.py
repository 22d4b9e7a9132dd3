"""The classifier that is trained on the data, on a budget of seconds."""

from pathlib import Path

import pytest
import torch

from genbench.data import Digits, ImageData
from genbench.metrics import ClassifierFeatures
from genbench.runtime.progress import Progress

CPU = torch.device("cpu")
QUIET = Progress(None)

IMAGES = 2560


class Unlabelled(Digits):
    """Digits without classes."""

    num_classes = 0


def weights(cache: Path) -> Path:
    (path,) = (cache / "features").glob("*.safetensors")
    return path


def test_it_is_trained_once_and_kept_and_leaves_the_global_generator_alone(
    digits: ImageData, cache: Path
) -> None:
    before = torch.get_rng_state()
    first = ClassifierFeatures(IMAGES).build(digits, device=CPU, progress=QUIET)
    assert torch.equal(torch.get_rng_state(), before)
    written = weights(cache).stat().st_mtime_ns
    again = ClassifierFeatures(IMAGES).build(digits, device=CPU, progress=QUIET)
    assert weights(cache).stat().st_mtime_ns == written
    assert first.protocol == again.protocol == f"digits-cnn-{first.weights_sha256[:8]}"
    assert torch.equal(first(digits.test.images).features, again(digits.test.images).features)
    found = first(digits.test.images).logits.argmax(1) == digits.test.labels
    assert float(found.float().mean()) > 0.5  # 10 classes; 20 steps of training


def test_the_same_data_and_seed_give_the_same_file_whatever_was_drawn_before_and_on_any_number_of_threads(
    digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, around = [], torch.get_num_threads()
    for name, seed, threads in (("a", 0, 1), ("b", 0, 2), ("c", 1, 1)):
        monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / name))
        torch.set_num_threads(threads)
        ClassifierFeatures(IMAGES, seed).build(digits, device=CPU, progress=QUIET)
        assert torch.get_num_threads() == threads
        torch.set_num_threads(around)
        files.append(weights(tmp_path / name).read_bytes())
        torch.rand(3)
    assert files[0] == files[1]
    assert files[0] != files[2]


def test_a_damaged_file_is_trained_anew_with_a_warning(digits: ImageData, cache: Path) -> None:
    first = ClassifierFeatures(IMAGES).build(digits, device=CPU, progress=QUIET)
    sound = weights(cache).read_bytes()
    weights(cache).write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    with pytest.warns(UserWarning, match="damaged"):
        again = ClassifierFeatures(IMAGES).build(digits, device=CPU, progress=QUIET)
    assert again.protocol == first.protocol
    assert weights(cache).read_bytes() == sound


def test_data_without_labels_are_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"no classes.*features=inception"):
        ClassifierFeatures().check(Unlabelled())


@pytest.mark.parametrize(("images", "seed"), [(0, 0), (1000, -1)])
def test_a_budget_below_one_batch_or_a_negative_seed_is_refused(images: int, seed: int) -> None:
    with pytest.raises(ValueError, match="it must be"):
        ClassifierFeatures(images, seed)
