"""The evaluation: exact counts, its own randomness, honest failures."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from genbench.data import Digits, ImageData, prepare, to_float
from genbench.evaluation.evaluator import Evaluation, Evaluator
from genbench.generator import Generator, Loss
from genbench.metrics import DigitsFeatures, Metrics
from genbench.runtime.context import Context
from genbench.runtime.progress import Progress
from genbench.runtime.stop import Stopped, StopRequest

CPU = torch.device("cpu")
QUIET = Progress(None)


class Replay(Generator):
    """Samples are training images, drawn by the rng: a model that knows nothing but its memory."""

    def __init__(self, images: Tensor, num_classes: int = 0) -> None:
        super().__init__((1, 8, 8), num_classes)
        self.images = images
        self.scale = torch.nn.Linear(1, 1)
        self.batches: list[int] = []
        self.labels: list[Tensor] = []

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        raise AssertionError("evaluation trains nothing")

    def sample(self, n: int, y: Tensor | None = None, *, rng: torch.Generator | None = None) -> Tensor:
        self.batches.append(n)
        if y is not None:
            self.labels.append(y)
        self.scale(torch.zeros(n, 1))
        index = torch.randint(len(self.images), (n,), generator=rng)
        return to_float(self.images[index])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return prepare(Digits(), cache=tmp_path_factory.mktemp("cache"), progress=QUIET)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One folder for the statistics of real images, which the first test takes."""
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "references"))


def evaluator(
    data: ImageData, *, samples: int | None = 100, batch_size: int = 32, stop: StopRequest | None = None
) -> Evaluator:
    metrics = Metrics(DigitsFeatures(), samples=samples, batch_size=batch_size)
    return Evaluator(data, metrics, Context(CPU, stop=stop or StopRequest()))


def run(
    model: Generator,
    data: ImageData,
    *,
    samples: int | None = 100,
    batch_size: int = 32,
    stop: StopRequest | None = None,
) -> Evaluation:
    found = evaluator(data, samples=samples, batch_size=batch_size, stop=stop)
    return found.score_model(model, "ema", splits=["train"])


def test_exactly_n_samples_are_drawn_with_the_last_batch_cut(data: ImageData) -> None:
    model = Replay(data.train.images)
    result = run(model, data)
    assert model.batches == [32, 32, 32, 4]
    assert "fid[digits-cnn-v1,n=100,ref=train,ema]" in result.metrics
    assert result.passes_per_sample == 1.0


def test_without_a_number_as_many_are_drawn_as_the_test_split_has(data: ImageData) -> None:
    model = Replay(data.train.images)
    run(model, data, samples=None)
    assert sum(model.batches) == len(data.test)


def test_evaluation_leaves_the_training_stream_untouched_and_repeats_itself(data: ImageData) -> None:
    model = Replay(data.train.images)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    first = run(model, data)
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(123)
    assert run(Replay(data.train.images), data).metrics == first.metrics


def test_real_images_score_far_better_than_noise(data: ImageData) -> None:
    rng = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, data.train.images.shape, generator=rng, dtype=torch.uint8)
    real, bad = (run(Replay(images), data).metrics for images in (data.train.images, noise))
    name = "fid[digits-cnn-v1,n=100,ref=train,ema]"
    assert 5 * real[name] < bad[name]


def test_the_held_out_images_are_scored_at_the_same_n(data: ImageData) -> None:
    scores = evaluator(data, batch_size=256).score_held_out(labelled=False)
    assert "fid[digits-cnn-v1,n=100,ref=train,test]" in scores


def test_labels_follow_the_frequencies_of_the_training_set(data: ImageData) -> None:
    model = Replay(data.train.images, num_classes=10)
    run(model, data, samples=1000, batch_size=500)
    labels = torch.cat(model.labels)
    assert data.train.labels is not None
    expected = torch.bincount(data.train.labels, minlength=10) / len(data.train)
    found = torch.bincount(labels, minlength=10) / len(labels)
    # n = 1000 draws with p = 0.1: a standard deviation of 0.0095, five of them
    assert float((found - expected).abs().max()) < 0.05


def test_samples_that_are_not_finite_are_refused_by_name(data: ImageData) -> None:
    class Broken(Replay):
        def sample(self, n: int, y: Tensor | None = None, *, rng: torch.Generator | None = None) -> Tensor:
            x = super().sample(n, y, rng=rng)
            if len(self.batches) > 1:
                x[1::10] = torch.nan
            return x

    # Batches of 32, 32, 32 and 4: four, four and one of the later three, from the second image on.
    with pytest.raises(FloatingPointError, match=r"9 of 100 samples of the ema weights .* number 33: train"):
        run(Broken(data.train.images), data)


def test_the_share_of_pixels_out_of_range_is_recorded(data: ImageData) -> None:
    class Loud(Replay):
        def sample(self, n: int, y: Tensor | None = None, *, rng: torch.Generator | None = None) -> Tensor:
            x = super().sample(n, y, rng=rng)
            x[:, :, :2] = 1.5  # a quarter of the rows
            return x

    assert run(Loud(data.train.images), data).out_of_range == pytest.approx(0.25)


def test_a_stop_request_ends_the_evaluation(data: ImageData) -> None:
    stop = StopRequest()
    stop.signalled = True
    with pytest.raises(Stopped):
        run(Replay(data.train.images), data, stop=stop)


def test_the_evaluation_of_the_package_data_needs_no_file_of_the_user(tmp_path: Path) -> None:
    assert len(prepare(Digits(), cache=tmp_path, progress=QUIET).test) == 359
