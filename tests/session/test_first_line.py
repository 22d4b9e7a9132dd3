"""The line with which a run begins."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from genbench.data import ImageData, Split
from genbench.runtime.precision import FIXED, Choice
from genbench.session.first_line import first_lines, first_look, mirrored_captions
from genbench.session.run_parts import Configuration
from genbench.training.budget import Budget
from genbench.training.loop import Trainer
from genbench.training.snapshots import snapshot_bytes
from tests.toys import toy_model

SPLIT = Split(torch.zeros(1234, 1, 4, 4, dtype=torch.uint8), None)
DATA = ImageData("toys", SPLIT, SPLIT, (), 0, False, "key", (1, 4, 4))


def lines(
    place: Path,
    *,
    classes: int = 0,
    in_sweep: bool = False,
    reason: str = "",
    processes: int = 1,
    snapshots: int | None = None,
    **choices: str,
) -> list[str]:
    model = toy_model(classes)
    budget = Budget(images=60_000, flops=1.5e15)
    parts: Any = SimpleNamespace(
        model=model,
        device=torch.device("cpu"),
        budget=budget,
        seed=3,
        trainer=Trainer(ema_snapshots=snapshots),
    )
    configuration = Configuration(
        "", {"guidance": {"scale": 2.0}}, {"model": "ddpm", **choices}, {}, in_sweep
    )
    return first_lines(parts, configuration, DATA, Choice(FIXED["fp32"], reason), place, processes=processes)


def test_it_names_model_data_parameters_device_precision_budget_and_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    count = sum(parameter.numel() for parameter in toy_model().parameters())
    facts = f"{count:,} parameters, cpu fp32, 60,000 images or 1.5 PFLOP"
    assert lines(tmp_path / "runs" / "a") == [f"ddpm on toys (1,234 images 1x4x4), {facts} -> runs/a"]
    (elsewhere,) = lines(Path("/elsewhere/a"), processes=2)
    assert elsewhere.endswith("-> /elsewhere/a")
    assert ", 2 x cpu fp32, " in elsewhere


def test_a_conditional_or_guided_run_does_not_look_unconditional(tmp_path: Path) -> None:
    (guided,) = lines(tmp_path, classes=5, conditional="true", guidance="classifier_free")
    assert guided.startswith("ddpm on toys (1,234 images 1x4x4, 5 classes), guided (classifier_free 2), ")
    (labelled,) = lines(tmp_path, in_sweep=True, conditional="true", guidance="none")
    assert labelled.startswith("  ddpm on toys, conditional, ")
    assert lines(tmp_path, guidance="none")[0].startswith("ddpm on toys ")


def test_a_job_of_a_sweep_is_in_short_and_a_choice_of_precision_has_its_reason(
    tmp_path: Path,
) -> None:
    line, reason = lines(tmp_path, in_sweep=True, reason="it is faster")
    assert line.startswith("  ddpm on toys, ")
    assert str(tmp_path) not in line
    assert reason == "Networks compute in fp32: it is faster."


def test_captions_of_sides_are_said_to_be_false_of_mirrored_images() -> None:
    captions = ["a cat", "a Dog to the left of a bird" + 60 * "!", "copyright 2020", "at the top RIGHT"]
    split = Split(torch.zeros(4, 1, 4, 4, dtype=torch.uint8), None, captions=captions)
    flipped = ImageData("toys", split, split, (), 0, True, "key", (1, 4, 4))
    (said,) = mirrored_captions(flipped)
    assert "2 captions say left or right" in said
    assert 'use data.flip=false. The first is "a Dog to the left of a bird!' in said
    assert mirrored_captions(replace(flipped, flip=False)) == mirrored_captions(DATA) == []


def test_a_training_of_less_than_an_epoch_is_a_first_look() -> None:
    words = "128 of 1,438 training images were seen once: a first look, no result."
    assert first_look(128, 1438) == [words]
    assert first_look(1438, 1438) == first_look(None, 1438) == first_look(0, 1438) == []


def test_what_snapshots_take_of_memory_and_disk_is_said(tmp_path: Path) -> None:
    _, line = lines(tmp_path, snapshots=32)
    assert line.startswith("EMA afterwards: 32 snapshots of two averages of the weights, ")
    assert line.endswith("then genbench ema RUN")
    assert snapshot_bytes(toy_model()) == 2 * 4 * sum(p.numel() for p in toy_model().parameters())
