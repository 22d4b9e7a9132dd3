"""Images between two latent codes: `genbench interpolate`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genbench
from genbench.app import load
from genbench.data import to_uint8
from genbench.evaluation.interpolation import arcs, interpolated
from genbench.evaluation.slerp import slerp
from genbench.generator import Decodes, Latent
from genbench.runtime.context import Context
from tests.conftest import Command, Make

VAE = ("model=vae", "network.encoder.width=8", "network.decoder.width=8")
CPU = Context(torch.device("cpu"), 3)


def vae(made: Make, *more: str) -> Latent:
    model = load(made(*VAE, *more), device="cpu")
    assert isinstance(model, Latent)
    return model


def test_an_arc_starts_and_ends_in_its_codes_and_stays_on_their_sphere() -> None:
    rng = torch.Generator().manual_seed(0)
    start, end = torch.randn(2, 5, 2, 3, generator=rng).unbind()
    assert torch.allclose(slerp(start, end, 0.0), start, atol=1e-5)
    assert torch.allclose(slerp(start, end, 1.0), end, atol=1e-5)
    unit = [a / a.flatten(1).norm(dim=1)[:, None, None] for a in (start, end)]
    lengths = slerp(unit[0], unit[1], 0.3).flatten(1).norm(dim=1)
    assert torch.allclose(lengths, torch.ones(5), atol=1e-5)


def test_equal_steps_on_an_arc_are_equal_angles() -> None:
    start, end = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    middle = [slerp(start, end, share)[0].tolist() for share in (1 / 3, 1 / 2)]
    assert middle == [pytest.approx([3**0.5 / 2, 0.5]), pytest.approx([0.5**0.5, 0.5**0.5])]


def test_midpoints_of_gaussian_codes_have_the_norm_of_gaussian_codes_and_those_of_a_line_have_not() -> None:
    """E |z|^2 = D, with standard deviation sqrt(2 D); of the mean over 200 pairs a fourteenth of that."""
    D = 512
    start, end = torch.randn(2, 200, D, generator=torch.Generator().manual_seed(0)).unbind()
    squares = slerp(start, end, 0.5).square().sum(1)
    assert float(squares.mean()) == pytest.approx(D, abs=6 * (2 * D / 200) ** 0.5)
    assert float(((start + end) / 2).square().sum(1).mean()) < 0.6 * D


def test_the_ends_of_a_row_are_the_decoded_ends_to_the_bit(made: Make) -> None:
    model = vae(made)
    found = arcs(model, 3, context=CPU)
    rows = interpolated(found, 5, CPU).unflatten(0, (3, 5))
    with torch.no_grad():
        assert torch.equal(rows[:, 0], to_uint8(model.decode(found.start)))
        assert torch.equal(rows[:, -1], to_uint8(model.decode(found.end)))
        middle = to_uint8(model.decode(slerp(found.start, found.end, 0.5)))
    assert torch.equal(rows[:, 2], middle)


def test_a_row_between_images_goes_from_one_reconstruction_to_the_other(made: Make, tmp_path: Path) -> None:
    model, shades = vae(made), np.random.default_rng(0).integers(0, 256, (2, 8, 8), dtype=np.uint8)
    paths = tmp_path / "a.png", tmp_path / "b.png"
    for path, shade in zip(paths, shades, strict=True):
        Image.fromarray(shade).save(path)
    row = interpolated(arcs(model, 1, between=paths, context=CPU), 4, CPU)
    x = torch.from_numpy(shades)[:, None].float() / 127.5 - 1
    with torch.no_grad():
        rebuilt = to_uint8(model.reconstruct(x))
    assert int((row[[0, -1]].int() - rebuilt.int()).abs().max()) <= 1  # a grey level, by rounding


def test_the_verb_writes_a_grid_and_arrays_and_python_gives_the_same(
    made: Make, verb: Command, tmp_path: Path
) -> None:
    run = made(*VAE, "conditional=true")
    words = ("--pairs", 2, "--n", 5, "--seed", 3, "--device", "cpu")
    done = verb("interpolate", run, "--out", tmp_path / "a", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"2 rows of 5 images in {tmp_path / 'a'}: grid.png, samples.npz\n"
    with np.load(tmp_path / "a" / "samples.npz") as file:
        arrays = dict(file)
    assert arrays["samples"].shape == (10, 8, 8)
    assert arrays["share"].tolist() == [0, 0.25, 0.5, 0.75, 1] * 2
    assert arrays["labels"].tolist() == [0] * 5 + [1] * 5
    assert (tmp_path / "a" / "grid.png").stat().st_size > 500
    images = genbench.load(run, device="cpu").interpolate(5, pairs=2, seed=3)
    assert np.array_equal(images.array, arrays["samples"])
    assert images.labels is not None
    assert images.labels.tolist() == arrays["labels"].tolist()


def test_each_family_with_codes_interpolates(made: Make) -> None:
    gan = load(made("model=gan", "network.generator.width=8", "network.discriminator.width=8"), device="cpu")
    assert isinstance(gan, Decodes)
    assert interpolated(arcs(gan, 2, context=CPU), 3, CPU).shape == (6, 1, 8, 8)


@pytest.mark.parametrize(
    ("overrides", "words", "refusal"),
    [
        (
            ("network.width=8", "network.blocks=1"),
            (),
            "this model has no latent codes",
        ),
        (
            ("model=gan", "network.generator.width=8", "network.discriminator.width=8"),
            ("--between", "a.png", "b.png"),
            "this model has no encoder: leave it out",
        ),
        (VAE, ("--between", "a.png", "b.png"), "a.png is not a file: give an image"),
        (VAE, ("--between", "a.png", "b.png", "--pairs", "2"), "--between gives the only pair"),
        (VAE, ("--label", "3"), "this model knows none"),
        ((*VAE, "conditional=true"), ("--between", "a.png", "b.png"), "give --label, from 0 to 9"),
    ],
)
def test_what_cannot_be_interpolated_is_refused_and_nothing_is_written(
    made: Make,
    verb: Command,
    tmp_path: Path,
    overrides: tuple[str, ...],
    words: tuple[str, ...],
    refusal: str,
) -> None:
    done = verb("interpolate", made(*overrides), "--out", tmp_path / "a", "--device", "cpu", *words)
    assert done.returncode == 2
    assert refusal in done.stderr
    assert not (tmp_path / "a").exists()
