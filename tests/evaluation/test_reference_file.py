"""Moments of others as a reference of FID: the same distance as that to the images they were taken of."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from genbench.data import Digits
from genbench.data.source import file_digest
from genbench.evaluation.evaluator import Evaluator
from genbench.evaluation.given_images import GivenImages
from genbench.evaluation.reevaluate import Reevaluation
from genbench.evaluation.reference_file import read_reference
from genbench.metrics import FID, KID, DigitsFeatures, Metrics
from genbench.records.metric_name import MetricName
from genbench.report.columns import column, shown_metrics
from genbench.runtime.context import Context
from tests.conftest import Command, Make

CPU = torch.device("cpu")
METRICS = Metrics(DigitsFeatures(), scores=[FID(), KID()], samples=40)
RUN = ("network.width=8", "network.blocks=1", "sampler.steps=3", "metrics.samples=40")


def evaluator() -> Evaluator:
    return Reevaluation(Digits(), METRICS, Context(CPU)).evaluator(captions=False)


@pytest.fixture(scope="module")
def statistics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The moments of the training split's features, as another tool would write them."""
    moments = evaluator().reference("train").moments
    path = tmp_path_factory.mktemp("statistics") / "train.npz"
    np.savez(path, mu=moments.mean.numpy(), sigma=moments.cov.numpy(), arr_0=np.zeros(3))
    return path


@pytest.mark.parametrize("n", [40, 200])  # fewer images than features, and more
def test_moments_of_the_training_split_give_the_distance_to_it(n: int, statistics: Path) -> None:
    metrics = read_reference(statistics).added_to(METRICS)
    images = evaluator().data.test.images[:n]
    found = Reevaluation(Digits(), metrics, Context(CPU)).images(GivenImages(images, None))
    ref = file_digest(statistics)[:8]
    assert found["reference"] == {"file": "train.npz", "sha256": file_digest(statistics)}
    for of in ("given", "test"):
        for kind in ("fid", "fid_low", "fid_high"):
            to_file, to_split = (
                found["metrics"][f"{kind}[digits-cnn-v1,n={n},ref={name},{of}]"] for name in (ref, "train")
            )
            assert to_file == pytest.approx(to_split, rel=1e-6)
    assert not [name for name in found["metrics"] if name.startswith("kid") and ref in name]


def test_moments_in_single_precision_are_accepted_with_their_rounding(
    statistics: Path, tmp_path: Path
) -> None:
    with np.load(statistics) as double:
        np.savez(tmp_path / "x.npz", **{name: double[name].astype(np.float32) for name in ("mu", "sigma")})
    exact, rounded = (read_reference(path).moments for path in (statistics, tmp_path / "x.npz"))
    assert torch.allclose(exact.cov, rounded.cov, rtol=1e-6)
    assert torch.allclose(exact.mean, rounded.mean, rtol=1e-6)


def test_a_run_is_compared_with_moments_beside_the_splits(
    made: Make, verb: Command, statistics: Path, tmp_path: Path
) -> None:
    words = ("--reference", statistics, "--set", "scores=[fid]", "--set", "metrics.likelihood_samples=0")
    done = verb("evaluate", made(*RUN), *words, "--device", "cpu", "--out", tmp_path / "x.jsonl")
    assert done.returncode == 0, done.stderr
    assert f"EMA, ref={file_digest(statistics)[:8]}" in done.stdout
    metrics = json.loads((tmp_path / "x.jsonl").read_text())["metrics"]
    to_file, to_split = (
        metrics[f"fid[digits-cnn-v1,n=40,ref={name},ema]"] for name in (file_digest(statistics)[:8], "train")
    )
    assert to_file == pytest.approx(to_split, rel=1e-6)


def test_tables_of_runs_show_the_distance_to_the_split_alone() -> None:
    to_file, to_split = (f"fid[inception,n=9,ref={ref},ema]" for ref in ("0a39dc47", "train"))
    assert shown_metrics([to_file, to_split]) == [to_split]
    assert column(to_file).title == "FID ref=0a39dc47"
    assert MetricName.parse(to_file).is_to_file
    assert str(MetricName.parse(to_file)) == to_file
