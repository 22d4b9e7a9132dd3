"""All families through one command, one evaluation and one table."""

import json
from pathlib import Path

import pytest

from genbench.report import load
from tests.conftest import Command

SHORT = (
    "budget.images=256",
    "metrics.samples=40",
    "metrics.likelihood_samples=20",
    "scores=[fid]",
    "trainer.sample_every_images=256",
    "tracker=jsonl",
    "device=cpu",
)
FAMILIES = ("autoencoder", "ddpm", "flow", "gan", "vae", "vqvae")


@pytest.fixture(scope="module")
def runs_dir(main: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One conditional run of each family, as one sweep."""
    folder = tmp_path_factory.mktemp("runs")
    done = main("-m", f"model={','.join(FAMILIES)}", "conditional=true", *SHORT, f"runs_dir={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_sweep_over_families_is_one_table(runs_dir: Path) -> None:
    rows = load(runs_dir).set_index("model")
    assert sorted(rows.index) == list(FAMILIES)
    (fid,) = (name for name in rows if name.startswith("fid[") and name.endswith("n=40,ref=train,ema]"))
    assert bool(rows[fid].notna().all())
    bounds = {model: bound for model, bound in rows["bound"].items() if bound is not None}
    assert bounds == {"ddpm": "lower", "flow": "lower", "vae": "lower", "vqvae": "lower"}
    assert list(rows.index[rows["bits_per_dim"].notna()]) == ["ddpm", "flow", "vae", "vqvae"]
    rebuild = {"autoencoder", "vae", "vqvae"}  # a flow's is exact by construction
    assert set(rows.index[rows["reconstruction_mse"].notna()]) == rebuild
    passes = rows["passes_per_sample"].to_dict()
    # A VQ-VAE: one for each of 4x4 codes, and the decoder's.
    assert passes == {"autoencoder": 1, "ddpm": 50, "flow": 1, "gan": 1, "vae": 1, "vqvae": 17}
    # A step of the GAN sees a batch for each of its networks, all see as many images as they were given.
    assert set(rows["images_seen"]) == {256}


@pytest.mark.parametrize(
    ("model", "pictures"),
    [
        ("ddpm", {"samples", "trajectory", "forward"}),
        ("vae", {"samples", "reconstructions", "interpolation", "codes"}),
        ("flow", {"samples", "reconstructions", "interpolation", "codes"}),
        ("gan", {"samples", "interpolation"}),
        ("vqvae", {"samples", "reconstructions", "interpolation", "codes", "trajectory"}),
    ],
)
def test_what_a_family_can_do_is_shown(runs_dir: Path, model: str, pictures: set[str]) -> None:
    (run,) = runs_dir.glob(f"default/{model}-*")
    shown = {path.name.partition("_0")[0] for path in (run / "samples").glob("*_000000256.png")}
    assert shown == pictures
    result = json.loads((run / "result.json").read_text())
    assert (run / result["samples"]["grid"]).exists()
