"""Two real processes evaluate as one does, bit for bit: samples, features of real images, scores."""

import faulthandler
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genbench.data import Digits, ImageData, prepare
from genbench.evaluation.evaluator import Evaluator
from genbench.metrics import DigitsFeatures, Features, Metrics, Moments, reference_path
from genbench.runtime.context import Context
from genbench.runtime.launcher import launcher
from genbench.runtime.processes import ALONE, Processes, joined
from genbench.runtime.progress import Progress
from tests.toys import toy_model

CPU = torch.device("cpu")


def evaluator(data: ImageData, processes: Processes, work: Counter[str]) -> Evaluator:
    """An evaluator that counts the images whose features this process computed."""
    metrics = Metrics(DigitsFeatures(), samples=96, batch_size=16)
    found = Evaluator(data, metrics, Context(CPU, processes=processes))

    def count(module: torch.nn.Module, given: tuple[Tensor], features: Features) -> None:
        work["images"] += len(given[0])

    found.extractor.register_forward_hook(count)
    return found


def numbers(data: ImageData, processes: Processes, folder: Path) -> dict[str, object]:
    """The scores of a model and of held-out images, with an empty cache, and how much this process did."""
    os.environ["GENBENCH_CACHE"] = str(folder)
    work: Counter[str] = Counter()
    with torch.no_grad():
        ours = evaluator(data, processes, work)
        real = [ours.reference(split) for split in ("train", "test")]
        done = work["images"]
        sums = [float(each.moments.scatter.sum() + each.features.double().sum()) for each in real]
        scores = ours.score_model(toy_model(), "ema").metrics | ours.score_held_out()
    paths = [reference_path(ours.extractor, data, split) for split in ("train", "test")]
    return {"scores": scores, "sums": sums, "images": done, "cached": [path.is_file() for path in paths]}


def process(path: str, folder: str) -> None:
    sys.path[:] = json.loads(path)
    torch.set_num_threads(1)
    with joined(CPU) as processes:
        data = prepare(Digits(), cache=Path(folder, f"data-{processes.index}"), progress=Progress(None))
        alone = numbers(data, ALONE, Path(folder, "alone")) if processes.first else None
        together = numbers(data, processes, Path(folder, "together"))
        failure = failing(data, processes, Path(folder, "failing"))
        unsummed = failing_sums(data, processes, Path(folder, "unsummed"))
        Path(folder, str(processes.index)).write_text(json.dumps([alone, together, failure, unsummed]))


def failing(data: ImageData, processes: Processes, folder: Path) -> str:
    """The message where the features of one process, the second, cannot be computed."""
    os.environ["GENBENCH_CACHE"] = str(folder)

    def broken(module: torch.nn.Module, given: tuple[Tensor], features: Features) -> None:
        if processes.index == 1:
            raise FloatingPointError("these features are not finite")

    ours = evaluator(data, processes, Counter())
    ours.extractor.register_forward_hook(broken)
    with pytest.raises(FloatingPointError) as error:
        ours.reference("train")
    return str(error.value)


def failing_sums(data: ImageData, processes: Processes, folder: Path) -> str:
    """The message where the first process, which alone sums features, cannot do so in the second of several
    rounds of one batch.
    """
    os.environ["GENBENCH_CACHE"] = str(folder)
    update, calls = Moments.update, Counter[str]()

    def broken(moments: Moments, features: Tensor) -> None:
        calls["update"] += 1
        if calls["update"] == 2:
            raise FloatingPointError("these sums are not finite")
        update(moments, features)

    ours = evaluator(data, processes, Counter())
    # Where messages of two rounds do not match, one process waits for days.
    with pytest.MonkeyPatch.context() as patch, ended_after(120):
        patch.setattr(import_module("genbench.metrics.reference"), "ROUND", 1)
        patch.setattr(Moments, "update", broken)
        with pytest.raises(FloatingPointError) as error:
            ours.reference("train")
    assert calls["update"] == (2 if processes.first else 0)
    return str(error.value)


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """End this process, with the place where it waits on stderr, if the block takes longer."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.mark.slow
def test_two_processes_share_features_and_samples_and_have_the_numbers_of_one(tmp_path: Path) -> None:
    launcher(2, process, tmp_path.name)(json.dumps(sys.path), str(tmp_path))
    (alone, first, *said), (_, second, *also_said) = (
        json.loads((tmp_path / name).read_text()) for name in "01"
    )
    assert len(alone["scores"]) > 20
    for together in (first, second):
        assert together["scores"] == alone["scores"]
        assert together["sums"] == alone["sums"]
        assert together["cached"] == [True, True]
        assert together["images"] > 0
    assert first["images"] + second["images"] == alone["images"]
    assert said == also_said == ["these features are not finite", "these sums are not finite"]
