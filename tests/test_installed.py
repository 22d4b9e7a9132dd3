"""genbench as a wheel in an environment of its own: it trains without a checkout, and finds plug-ins."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHORT = (
    "budget.images=256",
    "optim.lr=0.02",
    "trainer.sample_every_images=null",
    "metrics.samples=20",
    "tracker=jsonl",
    "device=cpu",
    "precision=fp32",
)


def run(*command: object, cwd: Path) -> str:
    """Return what a command prints; it knows no checkout, since it gets no PYTHONPATH."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    words = list(map(str, command))
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment `venv`, in which the wheels of genbench and of the example are installed.

    Its other packages are those of this environment: a folder that a .pth file names is searched, but .pth
    files in it, such as that of a genbench that is a link to a checkout, are not followed.
    """
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    (site,) = folder.glob("venv/lib/python*/site-packages")
    (site / "libraries.pth").write_text(
        "\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    )
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    for project in (ROOT, ROOT / "examples" / "plugin"):
        options = ("--no-deps", "--no-build-isolation", "--no-index", "-w", folder / "wheels")
        run(*pip, "wheel", *options, project, cwd=folder)
    wheels = sorted((folder / "wheels").glob("*.whl"))
    assert [path.name.partition("-")[0] for path in wheels] == ["genbench", "genbench_pixels"]
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", *wheels, cwd=folder)
    place = run(python, "-c", "import genbench; print(genbench.__file__)", cwd=folder)
    assert place.startswith(str(site))
    return folder


def genbench(folder: Path, *words: str) -> str:
    """Return what the console script prints, called in a folder that holds nothing but the environment."""
    return run(folder / "venv" / "bin" / "genbench", *words, cwd=folder)


def test_it_trains_where_there_is_no_checkout(folder: Path) -> None:
    printed = genbench(folder, "train", "model=gan", "network.generator.width=8", *SHORT)
    (result,) = folder.glob("runs/default/*/result.json")
    assert json.loads(result.read_text())["choices"]["model"] == "gan"
    assert str(result.parent) in printed


def test_the_help_names_the_command_that_there_is(folder: Path) -> None:
    page = genbench(folder, "train", "--help")
    assert "genbench train model=vae data=cifar10" in page
    assert "main.py" not in page


def test_its_protocols_are_found_and_their_commands_are_those_that_there_are(folder: Path) -> None:
    assert "genbench train -m model=ddpm data=digits" in genbench(folder, "protocol", "digits_60s")


@pytest.mark.slow
def test_options_of_a_plug_in_are_found_trained_and_reported(folder: Path) -> None:
    page = genbench(folder, "train", "--help")
    for group, option in (("model", "pixels"), ("schedule", "square"), ("data", "stripes")):
        lines = re.sub(r"\n {19}", " ", page).splitlines()  # a long list of options goes on in further lines
        assert any(line.startswith(f"  {group} ") and option in line for line in lines)
    words = ("model=pixels", "data=stripes", "scores=[fid,greyness]", "features=classifier", "runs_dir=own")
    genbench(folder, "train", *words, *SHORT)
    (run_dir,) = folder.glob("own/default/pixels-stripes-*")
    genbench(folder, "sample", str(run_dir), "--out", "samples", "--n", "4", "--device", "cpu")
    assert len(list((folder / "samples").glob("[0-9]*.png"))) == 4
    table = genbench(folder, "report", "own", "--format", "md", "--by", "model,data")
    assert "| pixels " in table
    assert "grey gap" in table
    assert "pixels (" in genbench(folder, "doctor")


def test_a_new_plug_in_is_written_from_the_templates_in_the_wheel(folder: Path) -> None:
    printed = genbench(folder, "new", "schedule", "my_schedule", "--out", "made")
    assert "genbench train model=ddpm schedule=my_schedule" in printed
    assert (folder / "made" / "my_schedule" / "conf" / "schedule" / "my_schedule.yaml").is_file()
