"""The kinds that each score states of itself, held for all scores that conf/scores has."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from genbench import app
from genbench.config.groups import options
from genbench.config.option_folders import CONF
from genbench.data import CaptionedScenes, Gaussians, Split
from genbench.metrics import (
    CaptionAccuracy,
    ClassificationAccuracy,
    CLIPScore,
    Drawn,
    Moments,
    Reference,
    Score,
)
from genbench.records.metric_kinds import KINDS
from genbench.records.metric_name import MetricName
from tests.metrics.sets import correlated
from tests.text_models import clip

NAMES = options("scores")


def made(name: str) -> Score:
    return app.make(OmegaConf.load(CONF / "scores" / f"{name}.yaml"))[name]


@pytest.fixture(scope="module")
def sets() -> tuple[Drawn, list[Reference]]:
    """Labelled images of a known distribution and two splits of real ones, so that every score has values."""
    law, rng = Gaussians(classes=4, shift=0).distribution, torch.Generator().manual_seed(0)
    x, splits = [correlated(90, 6, seed) for seed in range(3)], [law.draw(90, rng) for _ in range(3)]
    images = [split.images.reshape(-1, 1, 8, 8) for split in splits]
    drawn = Drawn("f", "ema", 0, 90, Moments.of(x[0]), x[0], images[0], splits[0].labels, x[0])
    references = [
        Reference(name, "f", Moments.of(x[i]), x[i], Split(images[i], splits[i].labels), law)
        for i, name in ((1, "train"), (2, "test"))
    ]
    return drawn, references


@pytest.fixture(scope="module")
def scenes() -> Drawn:
    """A source of scenes, each with a caption."""
    source = CaptionedScenes(train=2, test=20)
    images = torch.stack([torch.from_numpy(image) for image, _ in source.decode("test")]).permute(0, 3, 1, 2)
    x = correlated(20, 6, 0)
    return Drawn("f", "ema", 0, 20, Moments.of(x), x, images, torch.arange(20), x, source.captions("test"))


@pytest.mark.parametrize("name", NAMES)
def test_a_score_stands_under_its_key_and_computes_the_kinds_that_it_declares(
    name: str, sets: tuple[Drawn, list[Reference]], scenes: Drawn, tmp_path: Path
) -> None:
    score = made(name)
    if isinstance(score, CLIPScore):
        score.path = str(clip(tmp_path, whole=True, seed=2))
    if isinstance(score, ClassificationAccuracy):
        score.images = 64
    if isinstance(score, CLIPScore | CaptionAccuracy):
        sets = scenes, []
    names = [MetricName.parse(text) for text in score.compute(*sets)]
    assert score.key == name
    assert {metric.value_kind for metric in names} == {kind.key for kind in score.kinds}
    with_interval = {metric.value_kind for metric in names if metric.spread == "_low"}
    assert with_interval.isdisjoint(kind.key for kind in score.kinds if kind.interval == "none")


def test_the_table_has_no_kind_that_no_score_computes() -> None:
    assert {kind for name in NAMES for kind in made(name).kinds} >= {*KINDS.values()}
