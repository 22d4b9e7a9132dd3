"""Samples of a trained model on the command line: `genbench sample`."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genbench import app
from genbench.cli import main as cli
from genbench.data import ImageData, Split
from genbench.diffusion.sampler import DDIM
from genbench.evaluation import draw
from genbench.evaluation.evaluator import Evaluator
from genbench.evaluation.pictures import BORDER
from genbench.metrics import DigitsFeatures, Metrics, PassCounter
from genbench.runtime.context import Context
from tests.conftest import ROOT, Command, Make
from tests.toys import TINY

SMALL = ("network.width=8", "network.blocks=1")
DDPM = (*SMALL, "sampler.steps=3")
GUIDED = (*DDPM, "conditional=true", "guidance=classifier_free")
GAN = ("model=gan", "network.generator.width=8", "network.discriminator.width=8")
VAE = ("model=vae", "network.encoder.width=8", "network.decoder.width=8")
FLOW = ("model=flow", "network.width=8", "flow.steps=1")

STEP = 48 + BORDER  # from tile to tile of a grid; small images are enlarged to 48 pixels
FIRST, SECOND = slice(BORDER, STEP), slice(STEP + BORDER, 2 * STEP)

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def trained(main: Command, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as `main.py` leaves it, trained and not evaluated, which would take longer."""
    folder, hub = tmp_path_factory.mktemp("runs"), str(tmp_path_factory.mktemp("hub"))
    nowhere = {"TORCH_HOME": hub, "https_proxy": "http://127.0.0.1:9"}  # a port where nobody listens
    done = main(*TINY, "metrics=inception", f"runs_dir={folder}", env=environment | nowhere)
    assert done.returncode == 3, done.stdout + done.stderr
    (run,) = (folder / "default").iterdir()
    return run


def sample(*arguments: object) -> None:
    """The verb, within this process; what it refuses is an exception here, and a line for its users."""
    cli.app(["sample", *map(str, arguments), "--device", "cpu"], standalone_mode=False)


def drawn(run: Path, out: Path, *arguments: object) -> Arrays:
    sample(run, "--out", out, *arguments)
    with np.load(out / "samples.npz") as file:
        return dict(file)


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_folder_holds_the_images_their_grid_and_their_arrays(made: Make, tmp_path: Path) -> None:
    arrays = drawn(made(*DDPM), tmp_path / "new" / "out", "--n", 11, "--batch-size", 4)
    out = tmp_path / "new" / "out"
    names = {*(f"{k:02d}.png" for k in range(11)), "grid.png", "samples.npz"}
    assert {path.name for path in out.iterdir()} == names
    assert list(arrays) == ["samples"]
    assert (arrays["samples"].shape, arrays["samples"].dtype) == ((11, 8, 8), np.uint8)
    for k in range(11):
        assert np.array_equal(picture(out / f"{k:02d}.png"), arrays["samples"][k])
    grid = picture(out / "grid.png")  # 4 columns, each pixel enlarged to 6 x 6, a line between tiles
    assert np.array_equal(grid[FIRST, SECOND][::6, ::6], arrays["samples"][1])


def test_colours_stand_last_in_the_arrays() -> None:
    images = torch.arange(2 * 3 * 2 * 2, dtype=torch.uint8).reshape(2, 3, 2, 2)
    assert np.array_equal(draw.pixels(images)[1, 0, 1], images[1, :, 0, 1].numpy())


def test_the_same_seed_gives_the_same_bytes_whatever_was_drawn_before(made: Make, tmp_path: Path) -> None:
    run = made(*DDPM)
    first = drawn(run, tmp_path / "a", "--n", 5, "--seed", 3)
    torch.rand(7)
    drawn(run, tmp_path / "b", "--n", 5, "--seed", 3)
    other = drawn(run, tmp_path / "c", "--n", 5, "--seed", 4)
    for path in (tmp_path / "a").iterdir():
        if path.suffix == ".png":
            assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert not np.array_equal(first["samples"], other["samples"])


def test_an_unconditional_model_draws_what_the_evaluation_measures(made: Make, tmp_path: Path) -> None:
    run = made(*DDPM)
    empty = Split(torch.zeros(0, 1, 8, 8, dtype=torch.uint8), None)
    data = ImageData("toy", empty, empty, (), 0, False, "key", (1, 8, 8))
    metrics = Metrics(DigitsFeatures(), samples=22, batch_size=4)
    evaluator = Evaluator(data, metrics, Context(torch.device("cpu"), seed=5))
    measured = evaluator.score_model(app.load(run, device="cpu"), "ema", splits=[])
    arrays = drawn(run, tmp_path / "out", "--n", 22, "--batch-size", 4, "--seed", 5)
    assert measured.drawn is not None
    assert np.array_equal(arrays["samples"], measured.drawn.images[:, 0].numpy())


def test_labels_come_in_turn_a_column_of_the_grid_each(made: Make, tmp_path: Path) -> None:
    arrays = drawn(made(*GUIDED), tmp_path / "out", "--n", 25)
    assert arrays["labels"].dtype == np.int64
    assert np.array_equal(arrays["labels"], np.arange(25) % 10)
    with Image.open(tmp_path / "out" / "grid.png") as grid:
        assert grid.size == (10 * STEP + BORDER, 3 * STEP + BORDER)


def test_one_label_is_for_all_images_and_is_heard(made: Make, tmp_path: Path) -> None:
    three, five = (drawn(made(*GUIDED), tmp_path / str(k), "--label", k, "--n", 4) for k in (3, 5))
    assert np.array_equal(three["labels"], np.full(4, 3))
    assert not np.array_equal(three["samples"], five["samples"])


def test_the_raw_weights_are_others_than_the_average(made: Make, tmp_path: Path) -> None:
    ema = drawn(made(*DDPM), tmp_path / "ema", "--n", 4)
    raw = drawn(made(*DDPM), tmp_path / "raw", "--n", 4, "--weights", "raw")
    assert not np.array_equal(ema["samples"], raw["samples"])


def passes(run: Path, overrides: dict[str, object]) -> float:
    """Passes of the network a sample."""
    model = app.load(run, device="cpu", overrides=overrides)
    y = torch.arange(2) if model.num_classes else None
    with PassCounter(model.networks()) as counter:
        model.sample(2, y, rng=torch.Generator().manual_seed(0))
        return counter.passes(2)


def test_steps_and_guidance_are_what_a_sample_costs(made: Make) -> None:
    assert passes(made(*DDPM), {}) == 3
    assert passes(made(*DDPM), {"sampler.steps": 7}) == 7
    assert passes(made(*GUIDED), {"sampler.steps": 2}) == 4  # with the label and without
    assert passes(made(*GUIDED), {"sampler.steps": 2, "guidance.scale": 1.0}) == 2
    assert passes(made(*GUIDED), {"sampler.steps": 5, "guidance.interval": [0.0, 0.01]}) == 5
    straight = ("model=flow_matching", "solver=euler", *SMALL)
    coins = ("process=binomial", "data.binarize=true", *SMALL)
    assert [passes(made(*model), {"steps": 4}) for model in (DDPM, straight, coins)] == [4, 4, 4]


def test_another_sampler_takes_the_place_of_the_recorded_one(made: Make, tmp_path: Path) -> None:
    run = made(*DDPM)
    settings = {"sampler.eta": 0.25, "sampler": "ddim", "sampler.steps": 4}  # in any order
    sampler = app.load(run, device="cpu", overrides=settings).process.sampler
    assert isinstance(sampler, DDIM)
    assert (sampler.steps, sampler.eta) == (4, 0.25)
    settings = {"sampler": "heun", "sampler.spacing.rho": 3.0}
    assert app.load(run, device="cpu", overrides=settings).process.sampler.spacing.rho == 3.0
    ddim = ("--n", 4, "--sampler", "ddim", "--steps", 3)
    certain = drawn(run, tmp_path / "0", *ddim)
    random = drawn(run, tmp_path / "1", *ddim, "--set", "sampler.eta=1.0")
    assert not np.array_equal(certain["samples"], random["samples"])


@pytest.fixture(scope="session")
def digit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An 8 x 8 image of random grey levels."""
    path = tmp_path_factory.mktemp("given") / "digit.png"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    return path


@pytest.fixture(scope="session")
def lower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mask, larger than the model's images, whose lower half is to be drawn."""
    path = tmp_path_factory.mktemp("given") / "mask.png"
    Image.fromarray(np.repeat(np.array([0, 255], dtype=np.uint8), 16)[:, None].repeat(32, axis=1)).save(path)
    return path


@pytest.mark.parametrize(
    "settings", [(), ("--sampler", "ddim"), ("--sampler", "heun"), ("--sampler", "unipc"), ("--steps", 10)]
)
def test_completions_keep_the_given_bytes_and_differ_elsewhere(
    made: Make, digit: Path, lower: Path, tmp_path: Path, settings: tuple[object, ...]
) -> None:
    given = ("--inpaint", digit, "--mask", lower, "--n", 6, "--batch-size", 4)
    samples = drawn(made(*DDPM), tmp_path / "out", *given, *settings)["samples"]
    assert all(np.array_equal(image[:4], picture(digit)[:4]) for image in samples)
    assert len({image[4:].tobytes() for image in samples}) == 6
    grid = picture(tmp_path / "out" / "grid.png")
    assert grid.shape == (3 * STEP + BORDER, 3 * STEP + BORDER)  # the image, the mask over it, 6 completions
    assert np.array_equal(grid[FIRST, FIRST][::6, ::6], picture(digit))
    masked = grid[FIRST, SECOND][::6, ::6]
    assert np.array_equal(masked[:4], picture(digit)[:4])
    assert (masked[4:] == 128).all()


def test_variations_go_farther_with_their_strength(made: Make, digit: Path, tmp_path: Path) -> None:
    def distance(strength: float) -> float:
        steps = ("--steps", 30, "--sampler", "ddim", "--n", 8)
        given = ("--vary", digit, "--strength", strength)
        samples = drawn(made(*DDPM), tmp_path / str(strength), *given, *steps)["samples"]
        return float(np.abs(samples.astype(float) - picture(digit)).mean())

    near, middle, far = map(distance, (0.02, 0.3, 1.0))
    assert near < 0.5 * middle < 0.5 * far


def test_an_image_of_any_kind_is_brought_to_the_shape_of_the_model(made: Make, tmp_path: Path) -> None:
    """A JPEG of 40 x 24 pixels in colour, grey all over, is grey at any size."""
    Image.new("RGB", (40, 24), (60, 60, 60)).save(tmp_path / "wide.jpg")
    Image.new("L", (24, 24), 127).save(tmp_path / "dark.png")
    Image.new("L", (24, 24), 128).save(tmp_path / "bright.png")
    given = ("--inpaint", tmp_path / "wide.jpg", "--n", 2)
    drawn(made(*DDPM), tmp_path / "out", *given, "--mask", tmp_path / "bright.png")
    grid = picture(tmp_path / "out" / "grid.png")
    assert (grid[FIRST, FIRST] == 60).all()
    assert (grid[FIRST, SECOND] == 128).all()
    with pytest.raises(ValueError, match="has no white pixel"):
        drawn(made(*DDPM), tmp_path / "none", *given, "--mask", tmp_path / "dark.png")


REFUSED = [
    (DDPM, ["--label", 3], "this model knows none"),
    (GUIDED, ["--label", 10], "--label is 10; it must be from 0 to 9"),
    (DDPM, ["--steps", 2000], "sampler.steps is 2000; it must be from 1 to schedule.T=1000"),
    (DDPM, ["--sampler", "euler_"], "euler_ is not an option of sampler: choose from ancestral, .*ddim"),
    (DDPM, ["--set", "sampler.etta=1"], "sampler.etta is not a setting .* choose from .*sampler.steps"),
    (DDPM, ["--set", "network.width=16"], "network.width is not a setting"),
    (DDPM, ["--set", "guidance.scale=3"], "guidance.scale is not a setting"),
    (DDPM, ["--set", "sampler.steps=many"], "sampler.steps is 'many'; it must be a whole number"),
    (DDPM, ["--set", "sampler.steps"], "--set is 'sampler.steps'; it must be KEY=VALUE"),
    (GUIDED, ["--set", "guidance.p_uncond=0.5"], "guidance.p_uncond .* choose from .*guidance.scale"),
    (DDPM, ["--mask", "m.png"], "must be given together"),
    (DDPM, ["--inpaint", "i.png", "--mask", "m.png", "--vary", "i.png"], "give one"),
    (DDPM, ["--vary", "nowhere.png"], "nowhere.png is not a file"),
    (DDPM, ["--vary", ROOT / "README.md"], "README.md cannot be read"),
    (DDPM, ["--vary", "i.png", "--strength", 0], "--strength is 0.0; it must be above 0"),
    (GAN, ["--steps", 3], "sampler.steps is not a setting of this model's sampling: it has none"),
    (GAN, ["--vary", "i.png"], "--vary needs a model that edits images.* this one does not"),
]


@pytest.mark.parametrize(("model", "arguments", "message"), REFUSED, ids=lambda value: str(value))
def test_what_a_model_lacks_is_refused_and_nothing_is_written(
    made: Make, tmp_path: Path, model: tuple[str, ...], arguments: list[object], message: str
) -> None:
    run = made(*model)
    with pytest.raises((ValueError, OSError), match=message):
        sample(run, "--out", tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_never_overwritten(made: Make, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    drawn(made(*GAN), tmp_path / "out", "--n", 2)  # an empty folder will do
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for place in (tmp_path / "out", tmp_path / "out" / "0.png"):
        with pytest.raises(ValueError, match="exists and is not an empty folder"):
            drawn(made(*GAN), place, "--n", 2)
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("model", [GAN, VAE, FLOW], ids=lambda model: model[0])
def test_every_family_draws(made: Make, tmp_path: Path, model: tuple[str, ...]) -> None:
    samples = drawn(made(*model), tmp_path / "out", "--n", 6)["samples"]
    assert samples.shape == (6, 8, 8)
    assert len({image.tobytes() for image in samples}) == 6


def test_a_flow_at_temperature_zero_draws_its_mode(made: Make, tmp_path: Path) -> None:
    samples = drawn(made(*FLOW), tmp_path / "out", "--n", 3, "--set", "model.temperature=0")["samples"]
    assert len({image.tobytes() for image in samples}) == 1


def test_users_read_one_line(verb: Command, trained: Path, tmp_path: Path) -> None:
    arguments = ("sample", trained, "--out", tmp_path / "o", "--n", 3)
    done = verb(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"3 images in {tmp_path / 'o'}: a PNG each, grid.png, samples.npz\n"
    again = verb(*arguments)
    assert (again.returncode, again.stdout) == (2, "")
    (line,) = again.stderr.splitlines()
    assert "is not an empty folder" in line


def test_settings_of_a_run_that_say_what_it_recorded_change_nothing(trained: Path, tmp_path: Path) -> None:
    plain = drawn(trained, tmp_path / "plain", "--n", 4)
    same = drawn(trained, tmp_path / "same", "--n", 4, "--steps", 3, "--sampler", "ancestral")
    assert np.array_equal(plain["samples"], same["samples"])
    other = drawn(trained, tmp_path / "other", "--n", 4, "--steps", 4)
    assert not np.array_equal(plain["samples"], other["samples"])


def test_images_that_find_no_room_are_refused_before_they_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw.check_places(1000, (1, 8, 8), tmp_path / "new" / "out")
    with pytest.raises(ValueError, match=r"--n is 10000000000000, .* GB are free: take at most \d+"):
        draw.check_places(10**13, (1, 8, 8), tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=10**6))
    with pytest.raises(ValueError, match=r"1\.0 MB free, and 1000 images take .* smaller --n"):
        draw.check_places(1000, (1, 8, 8), tmp_path)
