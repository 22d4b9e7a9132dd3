"""One model over settings of its sampling: `genbench sampler-sweep`."""

from pathlib import Path

import pandas as pd
import pytest

from genbench.cli import main as cli
from genbench.evaluation.sampler_sweep import combinations
from genbench.report.sampler_sweeps import read_sweeps
from tests.conftest import Make

DDPM = ("network.width=8", "network.blocks=1", "sampler.steps=3", "metrics.samples=32")


def sweep(*arguments: object) -> None:
    """The verb, within this process; what it refuses is an exception here, and a line for its users."""
    cli.app(["sampler-sweep", *map(str, arguments), "--device", "cpu"], standalone_mode=False)


def test_settings_are_all_combinations_of_what_is_varied() -> None:
    assert combinations({"sampler": [], "sampler.steps": []}) == [{}]
    assert combinations({"sampler": ["ddim"], "sampler.steps": [2, 5], "guidance.scale": []}) == [
        {"sampler": "ddim", "sampler.steps": 2},
        {"sampler": "ddim", "sampler.steps": 5},
    ]
    assert len(combinations({"a": ["ddim", "heun"], "b": [2, 5, 7], "c": [0.0, 1.0]})) == 12


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_a_row_for_each_setting_with_its_passes_and_scores_and_a_picture(
    made: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(made(*DDPM), "--out", tmp_path / "s", "--samplers", "ddim,unipc", "--steps", "2,4")
    table = pd.read_csv(tmp_path / "s" / "table.csv")
    assert table["sampler"].tolist() == ["ddim", "ddim", "unipc", "unipc"]
    assert table["passes"].tolist() == [2, 4, 2, 4]
    (fid,) = (name for name in table if name.startswith("fid["))
    assert "n=32" in fid
    assert table[fid].nunique() == 4
    assert any(name.startswith("recall[") for name in table)
    assert table["sampler.steps"].tolist() == [2, 4, 2, 4]
    assert (tmp_path / "s" / "distance.png").stat().st_size > 1000
    shown = capsys.readouterr().out
    assert "FID ↓ by sampler (rows) and sampler.steps (columns)" in shown
    best = table[fid].min()
    (starred,) = [line for line in shown.splitlines() if "★ " in line and "|" in line]
    assert float(starred.partition("★ ")[2].split(" ")[0].replace(",", "")) == pytest.approx(best, rel=0.01)
    assert "held-out images (reference for a perfect model): " in shown
    assert max(map(len, shown.splitlines())) <= max(80, len(str(tmp_path)) + 80)


@pytest.mark.slow
def test_sweeps_go_into_the_run_and_other_samples_are_scored_against_validation_images(
    made: Make, tmp_path: Path
) -> None:
    run = made(*DDPM, "data.validation=0.1")
    sweep(run, "--steps", "2,4", "--n", "20", "--validation")
    sweep(run, "--steps", "2,4", "--n", "20")
    with_validation, without = (pd.read_csv(run / "sampler_sweeps" / n / "table.csv") for n in "12")
    (fid,) = (name for name in with_validation if name.startswith("fid[") and "validation" in name)
    assert with_validation[fid].nunique() == 2
    assert not any("validation" in name for name in without)
    assert (
        with_validation[without.columns]
        .drop(columns="seconds_per_image")
        .equals(without.drop(columns="seconds_per_image"))
    )
    found, refused = read_sweeps(run)
    assert (len(found), refused) == (2, [])
    with pytest.raises(ValueError, match="--validation needs a run with validation images"):
        sweep(made(*DDPM), "--out", tmp_path / "s", "--steps", "2", "--n", "20", "--validation")
    assert not (tmp_path / "s").exists()


def test_scales_are_measured_and_shown_from_the_same_noise(made: Make, tmp_path: Path) -> None:
    run = made(*DDPM, "conditional=true", "guidance=classifier_free")
    sweep(run, "--out", tmp_path / "s", "--scales", "0,1,3", "--n", "20")
    table = pd.read_csv(tmp_path / "s" / "table.csv")
    assert table["guidance.scale"].tolist() == [0, 1, 3]
    assert table["passes"].tolist() == [3, 3, 6]
    assert (tmp_path / "s" / "scales.png").stat().st_size > 1000
    assert not (tmp_path / "s" / "guidance.png").exists()  # of FID alone, which distance.png has


def test_a_model_of_text_has_a_figure_of_captions_and_fid_against_scales(
    made: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes = ("data=captioned", "data.train=300", "data.test=40", "network.multipliers=[1,1]")
    run = made(*DDPM, *scenes, "text=small", "text.length=128", "guidance=classifier_free", "scores=[fid]")
    arguments = (run, "--out", tmp_path / "s", "--scales", "0,2", "--n", "20")
    sweep(*arguments, "--set", "scores=[fid,caption_accuracy]")
    table = pd.read_csv(tmp_path / "s" / "table.csv")
    kinds = [name.partition("[")[0] for name in table]
    assert {"fid", "caption_accuracy", "caption_seen", "caption_held_out", "caption_sizes_low"} < {*kinds}
    assert (tmp_path / "s" / "guidance.png").stat().st_size > 1000
    assert (tmp_path / "s" / "scales_prompts.txt").is_file()
    shown = capsys.readouterr().out
    assert "captions right" in shown
    assert "guidance.png, scales.png" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("held-out images")]
    assert float(line.partition("captions right ")[2].partition(",")[0]) > 0.8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--samplers", "nonsense"), "nonsense is not an option of sampler: choose from ancestral"),
        (("--steps", "2,many"), "--steps is '2,many'; it must be whole numbers separated by commas"),
        (("--steps", "0"), r"sampler.steps is 0"),
        (("--scales", "2"), "guidance.scale is not a setting of this model's sampling"),
        (("--set", "scores=[caption_accuracy]"), "digits has no scenes"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    made: Make, tmp_path: Path, arguments: tuple[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        sweep(made(*DDPM), "--out", tmp_path / "s", *arguments)
    assert not (tmp_path / "s").exists()
