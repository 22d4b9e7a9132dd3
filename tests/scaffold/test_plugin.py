"""A new plug-in works before anything in it is changed: its tests pass, and its member trains."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from genbench.cli.plugin import Member
from genbench.config.option_folders import CONF
from genbench.scaffold import KINDS
from tests.conftest import Command, Done
from tests.toys import TINY

SHORT = [
    word for word in TINY if word.startswith(("budget", "trainer", "metrics", "tracker", "device", "prec"))
]
OF_DDPM = [word for word in TINY if word.startswith(("network", "sampler"))]


@pytest.fixture(scope="module")
def made(verb: Command, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Done]]:
    """The folder of a new plug-in of each kind, my_KIND, and what the command printed."""
    found = {}
    for kind in KINDS:
        out = tmp_path_factory.mktemp("made") / kind
        done = verb("new", kind, f"my_{kind}", "--out", out)
        assert done.returncode == 0, done.stderr
        found[kind] = (out, done)
    return found


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the path of a test at its end; its modules have names that no other test uses."""
    monkeypatch.setattr(sys, "path", sys.path[:])


def test_the_command_names_every_kind() -> None:
    assert [each.value for each in Member] == list(KINDS)
    assert all((CONF / kind.group).is_dir() for kind in KINDS.values())


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_how_to_go_on(kind: str, made: dict[str, tuple[Path, Done]]) -> None:
    out, done = made[kind]
    lines = done.stdout.splitlines()[2:]
    assert [line.partition(":")[0] for line in lines[4:]] == ["check"] * (kind == "family")
    install, attempt, elsewhere, test = lines[:4]
    conf = f"{out / f'my_{kind}' / 'conf'}"
    assert elsewhere.split()[2:6] == ["genbench", "train", "--config-dir", conf]
    assert install.split()[1:] == ["pip", "install", "-e", str(out)]
    assert attempt.split()[1:3] == ["genbench", "train"]
    assert f"my_{kind}" in attempt
    assert test.split()[1:] == ["python", "-m", "pytest", str(out)]


@pytest.mark.parametrize("kind", KINDS)
def test_its_files_are_those_of_the_example(kind: str, made: dict[str, tuple[Path, Done]]) -> None:
    out, _ = made[kind]
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == {
        "pyproject.toml",
        f"my_{kind}/__init__.py",
        f"my_{kind}/{kind}.py",
        f"my_{kind}/conf/{KINDS[kind].group}/my_{kind}.yaml",
        f"tests/test_my_{kind}.py",
    }
    assert (
        f'[project.entry-points."genbench.plugins"]\nmy_{kind} = "my_{kind}"\n'
        in (out / "pyproject.toml").read_text()
    )
    assert all("{{" not in (out / name).read_text() for name in files)


@pytest.mark.slow
def test_its_own_tests_pass(made: dict[str, tuple[Path, Done]]) -> None:
    """Those of all four in one process, since loading torch takes most of the time."""
    folders = [out for out, _ in made.values()]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(map(str, (*folders, *sys.path))),
    }
    options = ("-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:xdist")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *folders],
        cwd=folders[0].parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def trained(main: Command, out: Path, *words: str) -> Path:
    """The directory of a short run with the options of a new plug-in, which is not installed."""
    (package,) = (path.parent for path in out.glob("*/conf"))
    runs = out.parent / "runs"
    done = main("--config-dir", package / "conf", *words, *SHORT, f"runs_dir={runs}")
    assert done.returncode == 0, done.stderr
    (result,) = runs.rglob("result.json")
    return result.parent


def test_a_family_trains_samples_and_is_checked(
    main: Command, verb: Command, made: dict[str, tuple[Path, Done]], tmp_path: Path
) -> None:
    out, _ = made["family"]
    run = trained(main, out, "model=my_family", "optim.lr=0.02")
    conf = out / "my_family" / "conf"
    environment = os.environ | {"GENBENCH_CONFIG_DIR": str(conf)}
    done = verb("sample", run, "--out", tmp_path / "samples", "--n", 4, "--device", "cpu", env=environment)
    assert done.returncode == 0, done.stderr
    done = verb("check-family", "my_family.family.MyFamily", "--config-dir", conf)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[0].startswith("my_family.family.MyFamily (model=my_family)")
    assert done.stdout.splitlines()[-1] == "32 rules, none broken"


def test_a_schedule_is_drawn_among_the_others(
    verb: Command, made: dict[str, tuple[Path, Done]], tmp_path: Path
) -> None:
    options = ("--config-dir", made["schedule"][0] / "my_schedule" / "conf")
    done = verb("schedules", "--out", tmp_path / "all.svg", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "<!-- my_schedule -->" in (tmp_path / "all.svg").read_text()


@pytest.mark.slow
def test_a_schedule_trains(main: Command, made: dict[str, tuple[Path, Done]]) -> None:
    run = trained(main, made["schedule"][0], "model=ddpm", "schedule=my_schedule", *OF_DDPM)
    assert '"schedule": "my_schedule"' in (run / "result.json").read_text()


def test_a_score_is_measured(main: Command, made: dict[str, tuple[Path, Done]]) -> None:
    words = ("model=gan", "network.generator.width=8", "scores=[fid,my_score]", "objective=my_score")
    run = trained(main, made["score"][0], *words)
    assert "my_score[digits-cnn-v1,n=64,ref=train,ema]" in (run / "result.json").read_text()


@pytest.mark.slow
def test_a_data_set_is_trained_on(main: Command, made: dict[str, tuple[Path, Done]]) -> None:
    """A classifier of its classes gives the features."""
    words = ("model=gan", "network.generator.width=8", "data=my_data", "features=classifier")
    run = trained(main, made["data"][0], *words)
    assert '"data": "my_data"' in (run / "result.json").read_text()
