import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genbench.cli import main as cli
from genbench.cli.sampling_options import setting
from genbench.config.groups import options
from tests.conftest import Done, in_this_process

ROOT = Path(__file__).parents[2]
VERBS = (
    "report",
    "serve",
    "sample",
    "animate",
    "demo",
    "interpolate",
    "ema",
    "sampler-sweep",
    "bound",
    "schedules",
    "dashboard",
    "new",
    "check-family",
)
RESULT = {"genbench": "0.1.0", "choices": {"model": "ddpm"}, "metrics": {"fid[f,n=1,ref=train,ema]": 1.5}}


def write(runs: Path, run: str) -> Path:
    """A result of a run."""
    path = runs / run / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(RESULT))
    return path


def genbench(*arguments: object) -> Done:
    """A verb in this process, on a terminal without colours."""
    environment = dict(os.environ) | {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "120"}
    return in_this_process(cli.main, ["genbench", *arguments], environment)


def refused(done: Done) -> str:
    """The one line that a refusal consists of."""
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_help_names_the_verbs() -> None:
    done = genbench("--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in (*VERBS, "--version", "--install-completion"))


def test_no_verb_at_all_shows_the_help_and_says_what_is_missing() -> None:
    done = genbench()
    assert done.returncode == 2
    assert "sampler-sweep" in done.stdout
    assert "genbench needs a verb: choose from train, sample" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        *([verb, "--help"] for verb in VERBS),
        ["--version"],
    ],
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from genbench.cli.main import main\n"
        "try: main()\n"
        "finally: print([m for m in ('torch', 'pandas', 'numpy', 'matplotlib', 'hydra') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("[]\n"), done.stderr


def test_the_help_of_sample_says_what_is_written_and_what_may_be_set() -> None:
    done = genbench("sample", "--help")
    words = ("samples.npz", "[N, H, W]", "--inpaint", "--vary", "guidance.scale", "turn", "evaluation's")
    assert [word for word in words if word not in done.stdout] == []


def test_a_report_is_the_same_on_the_terminal_and_in_a_file(tmp_path: Path) -> None:
    write(tmp_path / "runs", "g/a")
    out = tmp_path / "new" / "report.md"
    shown = genbench("report", tmp_path / "runs")
    assert shown.returncode == 0, shown.stderr
    assert genbench("report", tmp_path / "runs", "--out", out).stdout == f"{out} is written\n"
    assert out.read_text() == shown.stdout
    assert "\n| model |" in shown.stdout


def test_a_report_replaces_an_older_one(tmp_path: Path) -> None:
    write(tmp_path / "runs", "g/a")
    out = tmp_path / "report.json"
    out.write_text("old")
    done = genbench("report", tmp_path / "runs", "--format", "json", "--out", out)
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text())[0]["run"] == "g/a"


def test_a_damaged_result_is_one_line_on_stderr_and_the_others_are_reported(tmp_path: Path) -> None:
    write(tmp_path, "good")
    write(tmp_path, "bad").write_text("{")
    done = genbench("report", tmp_path, "--format", "csv")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2
    (line,) = done.stderr.splitlines()
    assert "bad (damaged: result.json" in line


def test_a_missing_and_an_empty_directory_are_one_line_and_exit_code_two(tmp_path: Path) -> None:
    assert "is not a directory" in refused(genbench("report", tmp_path / "nowhere"))
    assert "no result.json" in refused(genbench("report", tmp_path))


def test_an_out_that_cannot_be_written_is_one_line_and_exit_code_two(tmp_path: Path) -> None:
    write(tmp_path / "runs", "a")
    file = tmp_path / "file"
    file.write_text("kept")
    assert "is not a regular file" in refused(genbench("report", tmp_path / "runs", "--out", tmp_path))
    assert "file" in refused(genbench("report", tmp_path / "runs", "--out", file / "below.md"))
    assert "is not a regular file" in refused(genbench("schedules", "--out", tmp_path))
    assert file.read_text() == "kept"


@pytest.mark.parametrize(
    ("name", "start"), [("a.csv", "run,"), ("a.JSON", "["), ("a.md", "1 run."), ("a", "1 run.")]
)
def test_the_ending_of_the_file_decides_the_format(tmp_path: Path, name: str, start: str) -> None:
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "result.json").write_text('{"genbench": "0.1.0"}')
    done = genbench("report", tmp_path / "runs", "--out", tmp_path / name)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / name).read_text().startswith(start)


def test_an_unknown_format_is_refused_with_the_formats_there_are(tmp_path: Path) -> None:
    done = genbench("report", tmp_path, "--format", "xls")
    assert done.returncode == 2
    assert "csv" in done.stderr


def test_sampling_without_a_model_or_an_empty_folder_is_one_line_and_exit_code_two(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    out = ("--out", tmp_path / "out")
    assert "holds no trained model" in refused(genbench("sample", tmp_path, *out))
    assert "is not an empty folder" in refused(genbench("sample", tmp_path, "--out", tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("20", 20), ("0.5", 0.5), ("1e-3", 1e-3), ("[0, 0.5]", [0, 0.5]), ("null", None), ("ddim", "ddim")],
)
def test_a_setting_is_read_as_what_it_looks_like(text: str, value: object) -> None:
    assert setting(f"sampler.x={text}") == ("sampler.x", value)


def test_schedules_draws_and_lists_every_option_by_its_name(tmp_path: Path) -> None:
    done = genbench("schedules", "--out", tmp_path / "s.svg", "--T", 50)
    assert (done.returncode, done.stderr) == (0, "")
    drawn, listed = (tmp_path / "s.svg").read_text(), [line.split() for line in done.stdout.splitlines()]
    for name in options("schedule"):
        assert f"<!-- {name} -->" in drawn or f"<!-- {name} (untrained) -->" in drawn
        assert [line[0] for line in listed].count(name) >= 1
    erasure = next(line for line in listed if line[0] == "erasure")
    assert erasure[1:] == ["0.76", "0.5", "0.24", "0", "3.9", "-inf"]  # 1 - k / 50 at k = 12, 25, 38, 50
    assert "linear and zero_terminal nearly coincide" in done.stdout


def test_schedules_draws_an_option_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "schedule").mkdir()
    (tmp_path / "schedule" / "mine.yaml").write_text(
        "_target_: genbench.diffusion.schedule.CosineSchedule\nT: 1000\ns: 0.1\n"
    )
    done = genbench("schedules", "--out", tmp_path / "s.svg", "--T", 50, "--config-dir", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "<!-- mine -->" in (tmp_path / "s.svg").read_text()
    assert "\nmine " in done.stdout


def test_schedules_draws_those_of_another_folder_too(tmp_path: Path) -> None:
    """A schedule is one class and one YAML; here the YAML refuses the grid, so that its name is shown."""
    (tmp_path / "schedule").mkdir()
    (tmp_path / "schedule" / "mine.yaml").write_text(
        "_target_: genbench.diffusion.schedule.LinearSchedule\nT: 1000\nbeta_T: 2.0\n"
    )
    done = genbench("schedules", "--out", tmp_path / "s.png", "--T", 50, "--config-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("genbench: schedule=mine is not included: LinearSchedule(T=50) has betas")


def test_schedules_names_what_no_grid_so_coarse_has_and_draws_the_others(tmp_path: Path) -> None:
    done = genbench("schedules", "--out", tmp_path / "s.png", "--T", 20)
    assert done.returncode == 0, done.stderr
    assert [line.rpartition(" is not included:")[0] for line in done.stderr.splitlines()] == [
        "genbench: schedule=linear",
        "genbench: schedule=zero_terminal",
    ]
    assert (tmp_path / "s.png").exists()
