"""Samples coming out of noise, by `genbench animate`; images of schedules, by `genbench schedules`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genbench import app
from genbench.data import to_uint8
from genbench.diffusion.schedule import CosineSchedule
from genbench.evaluation.forward_images import forward_images
from genbench.generator import Trajectory
from genbench.runtime.context import Context
from genbench.tracking.moving_picture import last_frame
from tests.conftest import Command, Make
from tests.toys import toy_process, trained_here

DDPM = ("network.width=8", "network.blocks=1", "sampler.steps=3")
VAE = ("model=vae", "network.encoder.width=8", "network.decoder.width=8")


def test_the_last_frame_shows_the_samples_of_the_seed(verb: Command, made: Make, tmp_path: Path) -> None:
    run, path = made(*DDPM, "conditional=true"), tmp_path / "new" / "a.webp"
    words = ("--n", 4, "--frames", 3, "--label", 2, "--steps", 2, "--seed", 5, "--device", "cpu")
    done = verb("animate", run, "--out", path, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"4 samples in 3 frames: {path}\n"
    model = app.load(run, device="cpu", overrides={"steps": 2})
    rng = Context(torch.device("cpu"), 5).generator("animate")
    drawn = to_uint8(model.sample(4, torch.full((4,), 2), rng=rng))
    pixels = np.asarray(last_frame(path))[..., 0]
    shown = [
        pixels[3 + y * 99 : 99 + y * 99 : 12, 3 + x * 99 : 99 + x * 99 : 12] for y in (0, 1) for x in (0, 1)
    ]
    assert np.array_equal(np.stack(shown), drawn[:, 0].numpy())


@pytest.mark.parametrize(
    ("overrides", "out", "words", "message"),
    [
        (VAE, "a.gif", (), "draws its samples in one step"),
        (DDPM, "a.png", (), "its ending must be one of .webp, .gif, .mp4"),
        (DDPM, "a", (), "its ending must be one of"),
        (DDPM, "a.mp4", (), "ffmpeg, which is not found in PATH"),
        (DDPM, "a.gif", ("--label", 1), "--label is 1, and this model knows none"),
        (DDPM, "a.gif", ("--frames", 1), "--frames is '1'"),
        (DDPM, "a.gif", ("--n", 257), "--n is '257'"),
        (DDPM, "a.gif", ("--steps", 2, "--set", "steps=3"), "steps is given twice"),
        (DDPM, "a.gif", ("--set", "network.width=3"), "network.width is not a setting"),
    ],
)
def test_what_cannot_be_animated_is_refused_and_nothing_is_written(
    verb: Command,
    made: Make,
    environment: dict[str, str],
    tmp_path: Path,
    overrides: tuple[str, ...],
    out: str,
    words: tuple[object, ...],
    message: str,
) -> None:
    without = environment | {"PATH": str(tmp_path)}
    done = verb("animate", made(*overrides), "--out", tmp_path / out, "--device", "cpu", *words, env=without)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_each_family_with_a_trajectory_is_animated(verb: Command, made: Make, tmp_path: Path) -> None:
    found = set()
    for model in trained_here():
        run = made(f"model={model}")
        if isinstance(app.load(run, device="cpu"), Trajectory):
            found.add(model)
            path = tmp_path / f"{model}.gif"
            done = verb("animate", run, "--out", path, "--n", 2, "--frames", 4, "--device", "cpu")
            assert done.returncode == 0, done.stderr
            with Image.open(path) as image:
                assert getattr(image, "n_frames", 1) > 1
    diffusion = {"ddpm", "flow_matching", "consistency", "latent_diffusion", "masked_diffusion"}
    assert found >= diffusion | {"autoregressive", "vqvae"}


def test_images_of_schedules_are_the_states_of_the_forward_process() -> None:
    """Of one image and one noise for all schedules, those that a diffusion of each gives."""
    x0 = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    schedules = {"a": CosineSchedule(50), "b": CosineSchedule(50, s=0.2)}
    tables = {name: schedule.table for name, schedule in schedules.items()}
    found = forward_images(x0, tables, rng=torch.Generator().manual_seed(1), frames=6)
    for name, schedule in schedules.items():
        process = toy_process(schedule=schedule)
        states = process.forward_states(x0, torch.Generator().manual_seed(1), frames=6)
        assert torch.allclose(found[name].images, states[:, 0], atol=1e-6)
        t = torch.tensor(found[name].t, dtype=torch.float64)
        assert t.tolist() == [0, 0.2, 0.4, 0.6, 0.8, 1]
        assert found[name].alpha_bar == pytest.approx(schedule.alpha_bar(t).tolist())


def test_schedules_draws_the_images_of_those_that_are_named(verb: Command, tmp_path: Path) -> None:
    path = tmp_path / "images.svg"
    done = verb("schedules", "linear", "cosine", "linear", "--images", "--T", 100, "--out", path)
    assert done.returncode == 0, done.stderr
    text = path.read_text()
    assert [text.count(f"<!-- {name} -->") for name in ("linear", "cosine", "sigmoid")] == [1, 1, 0]
    assert text.count("<!-- t = ") == 9
    assert text.count("<image") == 18
    assert [line.split()[0] for line in done.stdout.splitlines()[2:4]] == ["linear", "cosine"]


def test_schedules_takes_an_image_file(verb: Command, tmp_path: Path) -> None:
    Image.new("RGB", (90, 70), (200, 10, 10)).save(tmp_path / "mine.png")
    words = ("--data", tmp_path / "mine.png", "--out", tmp_path / "made.png")
    done = verb("schedules", "cosine", "--images", *words)
    assert (done.returncode, done.stderr) == (0, "")
    with Image.open(tmp_path / "made.png") as image:
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (colours == (200, 10, 10)).all(1).sum() > 1000  # the image at t = 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("cosin",), "cosin is not an option of schedule: choose from cosine"),
        (("cosine", "--images", "--data", "digit"), "--data is digit; it must be the path of an image file"),
    ],
)
def test_schedules_that_are_none_and_data_that_are_none_are_refused(
    verb: Command, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    done = verb("schedules", *words, "--out", tmp_path / "a.png")
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert not list(tmp_path.iterdir())
