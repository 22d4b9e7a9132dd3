"""The Gaussians: images of the law that they state, the same for the same seed."""

import json
import math
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from genbench import app
from genbench.data import Gaussians, ImageData, prepare
from genbench.data.gaussians import BRIGHT, DARK, blobs
from genbench.errors import UsageError
from genbench.runtime.progress import Progress
from tests.conftest import ROOT, Command
from tests.toys import TINY

QUIET = Progress(None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return prepare(Gaussians(), cache=tmp_path_factory.mktemp("cache"), progress=QUIET)


def test_the_images_have_the_moments_of_their_law(data: ImageData) -> None:
    """Ten thousand images: each pixel's mean and second moments within six standard errors."""
    law, u = data.distribution, data.train.images.flatten(1).double()
    assert law is not None
    error = law.cov.diag().sqrt() / math.sqrt(len(u))
    assert bool(((u.mean(0) - law.mean).abs() < 6 * error).all())
    centred = u - law.mean
    products, squares = (x.T @ x / len(u) for x in (centred, centred.square()))
    error = ((squares - products.square()) / len(u)).sqrt()
    assert bool(((products - law.cov).abs() < 6 * error).all())


def test_the_labels_have_the_frequencies_of_their_law(data: ImageData) -> None:
    n = len(data.train)
    expected = 1 / torch.arange(1.0, 11)
    expected /= expected.sum()
    seen = torch.bincount(data.train.labels, minlength=10) / n
    assert bool(((seen - expected).abs() < 5 * (expected * (1 - expected) / n).sqrt()).all())
    assert torch.allclose(data.distribution.class_weights.float(), expected)


def test_the_floor_of_train_and_test_images_lies_between_the_bounds_of_the_entropy(data: ImageData) -> None:
    low, high = data.distribution.entropy_bounds()
    for split in (data.train, data.test):
        nats = -data.distribution.log_prob(split.images)
        error = float(nats.std()) / math.sqrt(len(nats))
        assert low - 5 * error < float(nats.mean()) < high + 5 * error


def test_the_images_tell_their_labels(data: ImageData) -> None:
    """The pictures are far apart, or modes could not be counted."""
    assert torch.equal(data.distribution.log_classes(data.test.images).argmax(1), data.test.labels)
    distances = torch.cdist(data.distribution.means, data.distribution.means).fill_diagonal_(math.inf)
    assert float(distances.min()) / math.sqrt(64) > 1.5 * 8  # root mean square, against the noise


def test_the_same_seed_gives_the_same_images_and_another_one_others(tmp_path: Path) -> None:
    first, again, other = (
        prepare(Gaussians(seed=seed, train=50, test=20), cache=tmp_path / str(i), progress=QUIET)
        for i, seed in enumerate((3, 3, 4))
    )
    assert torch.equal(first.train.images, again.train.images)
    assert torch.equal(first.test.labels, again.test.labels)
    assert not torch.equal(first.train.images, other.train.images)
    assert not torch.equal(first.train.images[:20], first.test.images)
    assert first.key == again.key != other.key


def test_fewer_images_are_the_first_of_more(tmp_path: Path) -> None:
    few, many = (
        prepare(Gaussians(train=n, test=7), cache=tmp_path, progress=QUIET).train for n in (30, 1200)
    )
    assert torch.equal(few.images, many.images[:30])
    assert torch.equal(few.labels, many.labels[:30])


def test_pictures_move_as_a_whole() -> None:
    """At the place (1, 1) stands what was at (0, 0), a pixel further down and to the right."""
    pictures = blobs(4, 8, shift=1, seed=2).reshape(4, 9, 8, 8)
    still, moved = pictures[:, 4], pictures[:, 8]
    assert torch.allclose(moved[:, 1:, 1:], still[:, :-1, :-1])
    assert float(pictures.min()) >= DARK
    assert float(pictures.max()) <= BRIGHT


def test_the_law_changes_with_what_makes_it_and_not_with_how_many_images_are_drawn() -> None:
    first = Gaussians()
    assert first.distribution_key == Gaussians(train=5, test=5).distribution_key
    assert first.key() != Gaussians(train=5, test=5).key()
    others = [Gaussians(seed=1), Gaussians(size=16), Gaussians(shift=0), Gaussians(spread=9)]
    assert len({source.distribution_key for source in [first, *others, Gaussians(classes=9)]}) == 6
    assert len(Gaussians(shift=0, classes=4).distribution.weights) == 4
    assert len(first.distribution.weights) == 90


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 3}, "data.size is 3; it must be 4 or more"),
        ({"classes": 0}, "data.classes is 0"),
        ({"shift": 4}, "data.shift is 4; it must be less than half"),
        ({"spread": 0.5}, "data.spread is 0.5; it must be from 1 to 64"),
        ({"test": 0}, "data.test is 0"),
        ({"seed": -1}, "data.seed is -1"),
    ],
)
def test_settings_without_images_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Gaussians(**settings)


def test_a_run_is_measured_against_the_law(main: Command, tmp_path: Path) -> None:
    sizes = [word for word in TINY if not word.startswith(("sampler.", "network."))]
    small = ("network.encoder.width=8", "network.decoder.width=8", "data.train=600", "data.test=64")
    done = main("data=gaussians", "model=vae", *sizes, *small, f"runs_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("default/*/result.json")
    result = json.loads(path.read_text())
    likelihood, metrics = result["likelihood"], result["metrics"]
    low, high = 5.04, 5.15  # the bounds of the entropy; 64 images of 64 pixels err by 0.016
    assert low - 0.08 < likelihood["floor_bits_per_dim"] < high + 0.08
    assert likelihood["gap_bits_per_dim"] > 5 * likelihood["gap_se"] > 0  # eight steps of training
    assert f"floor {likelihood['floor_bits_per_dim']:.4g}" in done.stdout
    kinds = {name.partition("[")[0]: name for name in metrics if name.endswith("n=64,test]")}
    assert {"modes", "mode_tv", "off_law", "law_bits"} <= set(kinds)
    held_out, drawn = metrics[kinds["law_bits"]], metrics[kinds["law_bits"].replace("test]", "ema]")]
    assert low - 0.08 < held_out < high + 0.08 < drawn
    exact = {name.rpartition(",")[2]: metrics[name] for name in metrics if name.startswith("fd_exact[")}
    assert 0 < exact["test]"] < exact["ema]"]


def test_features_of_a_law_are_refused_where_it_is_not_known() -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=["features=law"])
        known = compose("config", overrides=["data=gaussians", "features=law"])
    with pytest.raises(UsageError, match="the distribution of digits is not known"):
        app.build(cfg)
    assert app.build(known).source.distribution is not None
