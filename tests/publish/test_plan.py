"""The plan of the published benchmark: its parts, their runs, and the target that they train to."""

from pathlib import Path

import pytest

from benchmarks.publish import enlarged, measure, runs
from benchmarks.publish.plan import plan
from benchmarks.publish.planned import FULL, Place
from genbench.app.command import parse_command, words_for_hydra
from genbench.data import Digits, ImageFolder, prepare
from genbench.runtime.progress import Progress
from tests.publish.made import KEYS


def test_the_plan_has_every_part_and_three_seeds_where_it_promises_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runs, "target", lambda words, samples, where: 7.0)
    monkeypatch.setattr(runs, "enlarge", lambda words, folder: None)
    planned = plan(KEYS, FULL, Place(None, tmp_path))
    assert {each.key for each in planned} == {*KEYS}
    assert len({each.words for each in planned}) == len(planned)
    of_part = {key: [each.words for each in planned if each.key == key] for key in KEYS}
    seeds = [each.seed for each in planned]
    assert seeds == sorted(seeds)  # an interrupted benchmark has one seed of every row before any has two
    for model, seeds in {**dict.fromkeys(runs.TUNED, 3), "vqvae": 1, "tarflow": 1}.items():
        assert sum(f"model={model}" in words for words in of_part["fashion_mnist"]) == seeds
    losses = {word for words in of_part["heat_map"] for word in words if word.startswith("loss=")}
    assert losses == {"loss=l1", "loss=l2", "loss=huber", "loss=hybrid"}
    assert all("budget.until=7" in words for words in of_part["time_to_target"])


def test_a_plan_that_is_only_listed_measures_no_target(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And one that is executed measures it once: ten times the score of held-out images."""
    measured: list[int] = []
    monkeypatch.setattr(measure, "held_out_fid", lambda words, samples: measured.append(samples) or 0.71)
    assert plan(["time_to_target"], FULL, Place(None, tmp_path, only_listed=True))
    assert measured == []
    for _ in range(2):
        planned = plan(["time_to_target"], FULL, Place(None, tmp_path))
        assert all("budget.until=7.1" in each.words for each in planned)
    assert measured == [500]


def test_a_target_of_other_data_is_measured_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of the machine is no part of the data; a listed plan has no target of other data either."""
    monkeypatch.setattr(measure, "held_out_fid", lambda words, samples: float(len(words)))
    where = Place(None, tmp_path)
    assert measure.target(["data=a", "data.root=/x"], 500, where) == 20
    assert measure.target(["data=a", "data.root=/y"], 500, where) == 20
    assert measure.target(["data=b"], 500, where._replace(only_listed=True)) == measure.UNKNOWN
    assert measure.target(["data=b"], 500, where) == 10


def test_enlarged_images_keep_their_classes_and_are_written_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(enlarged, "PARTS", {"train": slice(0, 20), "test": slice(20, 30)})
    folder = tmp_path / "images"
    (tmp_path / "partial-images" / "rest").mkdir(parents=True)  # of a call that was stopped
    enlarged.enlarge(["data=digits"], folder)
    data = prepare(ImageFolder(str(folder), size=64, channels=1), progress=Progress(None))
    assert (len(data.train), len(data.test), data.shape) == (20, 10, (1, 64, 64))
    first = prepare(Digits(), progress=Progress(None)).whole_train
    assert first.labels is not None
    assert data.train.labels is not None
    names = [data.class_names[label] for label in data.train.labels.tolist()]
    assert sorted(names) == sorted(map(str, first.labels[:20].tolist()))
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}
    enlarged.enlarge(["data=digits"], folder)
    assert made == {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}


def test_claims_on_larger_images_name_the_same_folder_on_every_machine(tmp_path: Path) -> None:
    planned = [*runs.claims(FULL, Place(None, tmp_path, only_listed=True))]
    roots = {each.chosen("data.root", "") for each in planned}
    assert roots == {"", "runs/enlarged_fashion_mnist"}
    swept = [each for each in planned if each.later]
    assert [each.seed for each in swept] == [0, 1, 2]
    assert {each.model for each in swept} == {"ddpm"}


def test_the_words_of_every_planned_run_reach_its_job(tmp_path: Path) -> None:
    """None becomes a parameter of a sweep, which a run that is none does not read."""
    for planned in plan(KEYS, FULL, Place(None, tmp_path, only_listed=True)):
        words = ["main.py", *planned.words]
        assert {*planned.words} <= {*words_for_hydra(words, parse_command(words))}, planned


def test_values_of_a_sweep_are_split_as_hydra_splits_them() -> None:
    assert runs.each_value("scores=[is,fid]") == ["scores=[is,fid]"]
    assert runs.each_value("loss=l1,l2") == ["loss=l1", "loss=l2"]
    assert [runs.plain(value) for value in (True, 1, None, "a,b")] == ["true", "1", "null", "a,b"]
