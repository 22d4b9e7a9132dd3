"""Several feature networks in one pass over the images."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from genbench.data import ImageData
from genbench.metrics import (
    FID,
    KID,
    ClassifierFeatures,
    DigitsFeatures,
    FeatureExtractor,
    Manifold,
    Metrics,
    Sharpness,
    reference,
    score_images,
)
from genbench.metrics.features.extractor import Features
from genbench.records.metric_name import MetricName
from genbench.runtime.progress import Progress

CPU, QUIET = torch.device("cpu"), Progress(None)
SCORES = (FID(), KID(subsets=3), Manifold(), Sharpness())


class Pixels(FeatureExtractor):
    """Some pixels as features, without classes."""

    def __init__(self) -> None:
        super().__init__("few-pixels", "0", 16)
        self.eval()

    def extract(self, images: Tensor) -> Features:
        x = images[:, 0, 2:6, 2:6].flatten(1).float()
        return Features(x / 100, x.new_zeros(len(x), 0))


def scored(extractor: FeatureExtractor, digits: ImageData) -> dict[str, float]:
    images = digits.test.images[:200]
    references = [reference(extractor, digits, split="train", device=CPU, progress=QUIET)]
    return score_images(
        ((part, None) for part in images.split(64)),
        len(images),
        scores=SCORES,
        extractor=extractor,
        references=references,
        of="given",
        seed=0,
    )


@pytest.fixture
def network(digits: ImageData) -> FeatureExtractor:
    return DigitsFeatures().build(digits, device=CPU, progress=QUIET)


def test_each_network_gives_what_it_gives_alone(network: FeatureExtractor, digits: ImageData) -> None:
    alone = scored(network, digits) | scored(Pixels(), digits)
    network.others = [Pixels()]
    assert scored(network, digits) == alone
    assert {MetricName.parse(name).protocol for name in alone} == {"digits-cnn-v1", "few-pixels", "pixels"}


def test_each_batch_of_images_is_drawn_once(network: FeatureExtractor, digits: ImageData) -> None:
    network.others = [Pixels(), DigitsFeatures().build(digits, device=CPU, progress=QUIET)]
    references, batches = [reference(network, digits, device=CPU, progress=QUIET)], list[int]()

    def stream() -> Iterator[tuple[Tensor, None]]:
        for part in digits.test.images[:60].split(20):
            batches.append(len(part))
            yield part, None

    score_images(stream(), 60, scores=[FID()], extractor=network, references=references, of="given", seed=0)
    assert batches == [20, 20, 20]


def test_a_network_that_is_given_twice_is_taken_once(digits: ImageData) -> None:
    metrics = Metrics(DigitsFeatures(), more_features=[DigitsFeatures()])
    assert metrics.extractor(digits, device=CPU, progress=QUIET).others == []


def test_networks_without_scores_are_refused() -> None:
    with pytest.raises(ValueError, match=r"metrics\.more_features is of scores"):
        Metrics(more_features=[DigitsFeatures()], scores=[])


def test_each_network_is_asked_whether_it_can_take_the_images(digits: ImageData) -> None:
    from genbench.data import FashionMnist

    with pytest.raises(ValueError, match="features=digits is for images of"):
        Metrics(ClassifierFeatures(64), more_features=[DigitsFeatures()]).check_source(FashionMnist())
