"""The configuration: every option composes, every preset runs, and values are refused clearly."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from genbench import app
from genbench.config.declared import check_declared
from genbench.config.groups import groups_of, options
from genbench.errors import UsageError
from genbench.runtime.downloads import may_download
from tests.conftest import Command, Make

ROOT = Path(__file__).resolve().parents[1]
MORE_NETWORKS = {
    "ddpm": ("ddpm_pp", "ddpm_pp_cifar10", "dit", "dit_b", "dit_s", "dit_xl", "unet_folded", "unet_ho2020"),
    "latent_diffusion": ("dit_latent",),
    "vae": ("deep_ladder", "ladder"),
    "flow": ("coupling_resnet",),
    "gan": ("r3gan", "resnet_gan"),
    "autoregressive": ("image_gpt", "pixelcnn_pp"),
    "masked_diffusion": ("masked_transformer",),
}
"""Networks that no model has by default, by a model that takes them."""
SMALL_NETWORKS = {
    "ddpm_pp_cifar10": ["network.width=16", "network.blocks=1", "network.multipliers=[1,2]"],
    "unet_ho2020": ["network.width=16", "network.multipliers=[1,2]"],  # it wants maps of 32x32
    **{f"dit_{size}": ["network.width=192", "network.blocks=1"] for size in ("s", "b", "xl")},
}
"""Sizes with which the networks of papers build in no time; their options are what matters here."""
OF_RUNS = {
    ("autoencoder", "run"),
    ("base_model", "run"),
    ("guidance", "auto"),
    ("features", "clip"),
    ("guidance", "classifier_of_run"),
    ("guidance", "classifier_outside"),
    ("image_encoder", "captioned_fashion_mnist"),
    ("image_encoder", "clip"),
    ("image_encoder", "fashion_mnist"),
    ("image_encoder", "run"),
    ("perceptual", "lpips"),
    ("text", "clip"),
    ("text", "t5"),
}
"""Options that want a run or a file, which their own test makes."""
OF_OTHERS = {
    ("ddpm", "augmentation", "diffaugment"),
    ("ddpm", "process", "consistency"),
    ("ddpm", "process", "mean_flow"),
    ("unclip", "pairing", "reflow"),
    ("flow", "flow", "tarflow"),
    *(("tarflow", "flow", option) for option in ("glow", "realnvp")),
}
"""Options of an axis that are there for another model, by a model that does not take them."""


MODELS, EXPERIMENTS = options("model"), options("experiment")
AXES = {model: dict.fromkeys(groups_of("model", model, {})) for model in MODELS}
OPTIONS = [
    *(("ddpm", "precision", option) for option in options("precision")),
    *((model, "network", option) for model, names in MORE_NETWORKS.items() for option in names),
    *(
        (model, group, option)
        for model, groups in AXES.items()
        for group in groups
        if group != "network" and (model == "ddpm" or group not in AXES["ddpm"])  # once of what many have
        for option in options(group)
        if (group, option) not in OF_RUNS and (model, group, option) not in OF_OTHERS
    ),
]
COMPANIONS = {
    ("schedule", "learned"): ("loss=vlb",),
    ("variance", "learned"): ("loss=vlb",),
    ("guidance", "classifier_free"): ("conditional=true",),
    ("guidance", "classifier"): ("conditional=true",),
    ("text", "small"): ("data=captioned",),
    ("image_encoder", "captioned"): ("data=captioned",),
    ("process", "binomial"): ("data.binarize=true",),
    ("schedule", "erasure"): ("process=binomial", "data.binarize=true"),
}
"""Overrides that an option makes no sense without."""


def config(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=list(overrides))


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("metrics.features.clip", ("features=clip", "features.path=somebody/clip")),
        (
            "metrics.scores.clip_score",
            ("data=captioned", "scores=[clip_score]", "scores.clip_score.path=somebody/clip"),
        ),
    ],
)
def test_weights_of_scores_that_the_users_own_command_names_may_be_downloaded(
    module: str, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = list[bool]()

    def load(*of: object, key: str) -> None:
        allowed.append(may_download())
        raise ValueError("it is not there")

    monkeypatch.setattr(f"genbench.{module}.load_model", load)
    with pytest.raises(UsageError, match="it is not there"):
        app.build(config("device=cpu", *words))
    assert allowed == [True]


def test_no_preset_hides_in_a_folder() -> None:
    assert [path for path in (ROOT / "conf" / "experiment").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(("model", "group", "option"), OPTIONS, ids=lambda value: value)
def test_every_option_builds(monkeypatch: pytest.MonkeyPatch, model: str, group: str, option: str) -> None:
    monkeypatch.setattr("genbench.runtime.precision.has_fp16_units", lambda device: True)
    small = SMALL_NETWORKS.get(option, [])
    with_it = COMPANIONS.get((group, option), ())
    cfg = config(f"model={model}", f"{group}={option}", *with_it, *small)
    side = 32 if "data=captioned" in with_it else 8
    assert app.build(cfg).model.shape == (1, side, side)
    recorded: Any = OmegaConf.to_container(cfg, resolve=True)
    for key in ("data", "model", "metrics", "precision"):  # what a run of it records can be built again
        check_declared(recorded[key], (key,))


def test_a_loss_brings_what_it_is_meant_with_and_the_command_line_wins() -> None:
    def chosen(*overrides: str) -> tuple[str, ...]:
        cfg = config(*overrides)
        return tuple(cfg[axis]["_target_"].rpartition(".")[2] for axis in ("variance", "times"))

    assert chosen("loss=hybrid") == ("LearnedVariance", "Stratified")
    assert chosen("loss=vlb") == ("Fitted", "Importance")
    assert chosen("loss=vlb", "times=uniform", "variance=learned") == ("LearnedVariance", "UniformTimes")
    latents = "model=latent_diffusion"
    assert chosen(latents) == ("BetaTilde", "Stratified")
    assert chosen(latents, "loss=hybrid") == ("LearnedVariance", "Stratified")
    assert chosen(latents, "loss=hybrid", "variance=beta") == ("Beta", "Stratified")


@pytest.mark.parametrize("loss", ["hybrid", "vlb"])
def test_a_loss_in_bits_of_images_is_refused_on_latents_for_that_reason(loss: str) -> None:
    """Not because of the variance, which the loss brings with it."""
    with pytest.raises(UsageError, match=rf"^loss={loss} counts the bits of 8-bit images"):
        app.build(config("model=latent_diffusion", f"loss={loss}"))


def test_the_wasserstein_criterion_brings_its_penalty_and_critic_steps_and_the_command_line_wins() -> None:
    def chosen(*overrides: str) -> tuple[float, float, int]:
        cfg = config("model=gan", *overrides)
        return cfg.penalty.gradient, cfg.penalty.r1, cfg.model.critic_steps

    assert chosen("criterion=wasserstein") == (10.0, 0.0, 5)
    assert chosen("criterion=wasserstein", "penalty=r1", "model.critic_steps=2") == (0.0, 0.15, 2)
    assert chosen("criterion=wasserstein", "penalty.gradient=1") == (1.0, 0.0, 5)
    for other in ("relativistic", "hinge", "least_squares", "non_saturating"):
        assert chosen(f"criterion={other}") == (0.0, 0.15, 1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model=gan", "penalty=none", "model.critic_steps=1"), "nothing bounds it: use penalty=gradient"),
        (
            ("experiment=fashion_mnist_gan",),
            r"penalty\.gradient=10 comes with penalty\.r1=1 and penalty\.r2=1: set penalty\.r1=0 penalty",
        ),
    ],
)
def test_a_wasserstein_critic_without_a_bound_or_with_two_is_refused(
    overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        app.build(config("criterion=wasserstein", "device=cpu", *overrides))


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=gan",),
        ("model=gan", "penalty=r1"),
        ("model=gan", "penalty=none", "network.discriminator.spectral_norm=true"),
        ("model=gan", "network=resnet_gan", "penalty=none", "network.discriminator.spectral_norm=true"),
        ("experiment=fashion_mnist_gan", "penalty.r1=0", "penalty.r2=0", "data=digits"),
    ],
)
def test_a_wasserstein_critic_with_one_bound_is_built(overrides: tuple[str, ...]) -> None:
    app.build(config("criterion=wasserstein", "device=cpu", *overrides))


def test_an_autoencoder_of_an_earlier_run_is_taken_as_it_is(made: Make) -> None:
    run = made("model=vae", "network.encoder.width=8", "network.decoder.width=8")
    model = app.build(config("model=latent_diffusion", "autoencoder=run", f"autoencoder.run_dir={run}")).model
    assert model.phases == ("net",)
    theirs = app.load(run, device="cpu").state_dict()
    assert all(torch.equal(theirs[key], value) for key, value in model.autoencoder.state_dict().items())


@pytest.mark.parametrize(
    "of", [("model=gan", "network.generator.width=8"), ("model=autoregressive", "network.width=8")]
)
def test_a_run_that_encodes_no_images_is_no_autoencoder(made: Make, of: tuple[str, ...]) -> None:
    """Of these two one maps latents to images, and the other has none."""
    run = made(*of)
    for overrides, message in (
        (("model=latent_diffusion", "autoencoder=run", f"autoencoder.run_dir={run}"), "encodes no images"),
        (("model=unclip", "image_encoder=run", f"image_encoder.model.run_dir={run}"), "a model with latents"),
    ):
        with pytest.raises(UsageError, match=message):
            app.build(config(*overrides))


def test_a_cascade_takes_the_base_of_an_earlier_run_as_it_is(made: Make) -> None:
    run = made("model=ddpm", "network.width=8", "data=gaussians", "data.size=4")
    cfg = config("model=cascade", "base_model=run", f"base_model.run_dir={run}", "network.width=8")
    model = app.build(cfg).model
    assert (model.phases, model.base.shape) == (("net",), (1, 4, 4))
    theirs = app.load(run, device="cpu").state_dict()
    assert all(torch.equal(theirs[key], value) for key, value in model.base.state_dict().items())
    four = "model.condition.factor=4"
    with pytest.raises(UsageError, match=r"base model has shape \(1, 4, 4\).*needs \(1, 2, 2\)"):
        app.build(config(*("model=cascade", "base_model=run"), f"base_model.run_dir={run}", four))


def test_a_classifier_of_an_earlier_run_guides_without_being_trained(made: Make) -> None:
    small = ("network.width=8", "conditional=true")
    run = made(*small, "guidance=classifier", "guidance.classifier.width=8")
    taken = ("guidance=classifier_of_run", f"guidance.classifier.run_dir={run}")
    assert app.build(config(*small, *taken)).model.phases == ("net",)
    with pytest.raises(UsageError, match="has no classifier"):
        app.build(config(*small, taken[0], f"guidance.classifier.run_dir={made(*small)}"))


def test_every_network_is_tried() -> None:
    """Those that are some model's default by the contract of all families."""
    tried = {name for names in MORE_NETWORKS.values() for name in names}
    for model in MODELS:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            cfg = compose("config", overrides=[f"model={model}"], return_hydra_config=True)
        tried.add(cfg.hydra.runtime.choices.get("network"))
    tried.discard(None)  # of a family without a network of its own
    assert sorted(tried) == options("network")


SMALL = {"width": 8, "blocks": 1, "layers": 1, "heads": 2, "steps": 3, "levels": 2}
"""Sizes of networks, flows and samplers with which a run takes seconds."""


def small(experiment: str) -> tuple[str, ...]:
    """Overrides that make an experiment small, for the sizes that it has."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=[f"experiment={experiment}"], return_hydra_config=True)
    axes = [(axis, cfg[axis]) for axis in ("network", "flow", "sampler") if axis in cfg]
    inner = [
        (path, node, key) for path, node in axes for key in node if not OmegaConf.is_interpolation(node, key)
    ]
    nodes = axes + [(f"{path}.{key}", node[key]) for path, node, key in inner]
    found = [(path, key) for path, node in nodes if OmegaConf.is_dict(node) for key in SMALL if key in node]
    # In a multirun, overrides are also tried on what is composed without the experiment: the model is named.
    sizes = (f"{path}.{key}={SMALL[key]}" for path, key in found)
    return f"model={cfg.hydra.runtime.choices['model']}", *sizes


def make_images(folder: Path, side: int) -> None:
    """Write 60 noise images of two classes, with captions: 36 in train, 24 in test."""
    rng = torch.Generator().manual_seed(0)
    for k in range(60):
        place = folder / ("train" if k < 36 else "test") / str(k % 2)
        place.mkdir(parents=True, exist_ok=True)
        pixels = torch.randint(0, 256, (side, side, 3), generator=rng, dtype=torch.uint8).numpy()
        Image.fromarray(pixels).save(place / f"{k}.png")
        (place / f"{k}.txt").write_text(f"noise number {k % 2}")


def test_faces64_gives_each_model_its_own_sizes() -> None:
    vae, ddpm = (config("experiment=faces64", f"model={model}") for model in ("vae", "ddpm"))
    assert (vae.network.latent, ddpm.network.multipliers) == (128, [1, 2, 3, 4])
    assert vae.budget == ddpm.budget
    assert vae.data.size == 64


@pytest.mark.slow
def test_faces64_trains_both_models_by_one_command(process: Command, tmp_path: Path) -> None:
    make_images(tmp_path / "images", 64)
    done = process(
        "experiment=faces64",
        f"data.root={tmp_path}/images",
        "metrics=none",
        "trainer.batch_size=2",
        "trainer.sample_every_images=null",
        "budget.images=4",
        "tracker=jsonl",
        "device=cpu",
        f"runs_dir={tmp_path}/runs",
    )
    assert done.returncode == 0, done.stderr
    models = {json.loads(p.read_text())["choices"]["model"] for p in tmp_path.glob("runs/*/*/result.json")}
    assert models == {"vae", "ddpm"}


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_runs(experiment: str, main: Command, tmp_path: Path) -> None:
    """On a few images of one size, with networks of a few weights."""
    make_images(tmp_path / "images", 32)
    done = main(
        f"experiment={experiment}",
        *small(experiment),
        "data=image_folder",
        f"data.root={tmp_path}/images",
        "data.size=32",
        "metrics=classifier",
        "features.images=64",
        "metrics.samples=20",
        "metrics.likelihood_samples=8",
        "trainer.batch_size=8",
        "trainer.sample_every_images=null",
        "budget.images=16",
        "budget.seconds=null",
        "tracker=jsonl",
        "device=cpu",
        f"runs_dir={tmp_path}/runs",
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("runs/*/*/result.json"))) == 1


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_and_its_objects_build(experiment: str) -> None:
    cfg = config(f"experiment={experiment}")
    OmegaConf.update(cfg, "image.shape", [3, 32, 32])
    app.check_groups(cfg)
    assert app.seeded_model(cfg).shape == (3, 32, 32)
    for node in (cfg.data, cfg.budget, cfg.trainer, cfg.metrics, cfg.tracker, cfg.lr_schedule):
        app.make(node)


@pytest.mark.parametrize("model", MODELS)
def test_every_object_appears_once(model: str) -> None:
    """An interpolation of a whole object twice would build two of them, one of none would be ignored."""
    cfg = config(f"model={model}")
    text = OmegaConf.to_yaml(cfg)
    own = {"data", "precision", "metrics", "tracker", "optim", "lr_schedule", "trainer", "budget", "model"}
    assert text.count("${oc.dict.values:scores}") == 1
    for axis in {str(key) for key in cfg if OmegaConf.is_dict(cfg[key])} - own - {"image", "hydra", "scores"}:
        for node in nodes(axis, cfg[axis]):
            # Both stages of a cascade have a process, and both of unCLIP guidance, with the same settings.
            times = 2 if (model, node) in (("cascade", "process"), ("unclip", "guidance")) else 1
            assert text.count("${" + node + "}") == times, node


def nodes(name: str, axis: DictConfig) -> list[str]:
    """The objects that an axis describes: one, or several under names."""
    return [name] if "_target_" in axis else [f"{name}.{key}" for key in axis]


def test_only_targets_of_known_packages_are_built() -> None:
    cfg = config()
    OmegaConf.update(cfg, "loss._target_", "os.system")
    with pytest.raises(UsageError, match=r"loss._target_ is 'os.system'; it must start with"):
        app.build(cfg)


@pytest.mark.parametrize(
    ("choices", "key"),
    [
        (["model=flow_matching"], "model.process.density_steps"),
        (["model=latent_diffusion", "prior=flow_matching"], "prior.process.density_steps"),
    ],
)
def test_the_steps_of_a_density_are_set_by_the_keys_that_messages_name(choices: list[str], key: str) -> None:
    """A note below a table and the README named process.density_steps, which is no key."""
    assert OmegaConf.select(config(*choices, f"{key}=8"), key) == 8
    with pytest.raises(ConfigCompositionException):
        config(*choices, "process.density_steps=8")


def test_the_identity_ignores_what_changes_no_number() -> None:
    first = app.identity(config())
    assert app.identity(config("device=cpu", "runs_dir=elsewhere", "name=x", "tracker=jsonl")) == first
    assert app.identity(config("trainer.checkpoint_every_seconds=1", "rerun=true")) == first
    folders = [app.identity(config("data=image_folder", f"data.root={root}")) for root in ("a", "b")]
    assert folders[0] != folders[1]
    mnist = app.identity(config("data=mnist"))
    assert app.identity(config("data=mnist", "data.root=here")) == mnist


@pytest.mark.parametrize(
    "override",
    [
        *("seed=1", "loss=l1", "sampler.steps=20", "conditional=true", "budget.images=1"),
        *("metrics.samples=100", "trainer.gradients=bf16"),
    ],
)
def test_the_identity_follows_what_changes_a_number(override: str) -> None:
    assert app.identity(config(override)) != app.identity(config())


def test_the_start_of_the_weights_follows_the_seed_alone() -> None:
    def weights(seed: int) -> list[float]:
        parts = app.build(config(f"seed={seed}", "network.width=16"))
        return [float(p.detach().sum()) for p in parts.model.parameters()]

    assert weights(0) == weights(0)
    assert weights(0) != weights(1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["schedule=linear", "schedule.T=10"], "larger T"),
        (["model=vae", "network.encoder.latent=4"], "set network.latent alone"),
        (["model=autoencoder", "model.density.dimensions=4"], "set only model.latent"),
        (["model=vqvae", "model.codebook.size=0"], "size is 0"),
        (["model=vqvae", "model.codebook.size=1"], "model.codebook.size"),
        (["model=vqvae", "model.share=1.0"], "model.share is 1.0"),
        (["model=autoregressive", "pixel_law=palette", "pixel_law.size=1"], "pixel_law.size is 1"),
        (["process=consistency"], "process.times refers to 'path_times'"),
        (["model=consistency", "process=gaussian"], "does not accept path_times"),
        (["model=consistency", "process.steps=0"], "process.steps is 0"),
        (["model=flow_matching", "pairing=reflow", "pairing.share=1.0"], "pairing.share is 1.0"),
        (["model=consistency", "+guidance=classifier_free"], "does not accept guidance"),
        (["model=vae", "network=unet"], r"genbench.nn.unet.UNet'; it must be described as a LatentNetwork"),
        (["model=vae", "network=dcgan"], "refers to 'model.latent_size', and there is no such key"),
        (["model=vae", "+schedule=cosine"], "genbench.families.vae.VAE does not accept schedule"),
        (["model=gan", "penalty.r1=-1"], "penalty.r1 is -1"),
        (["model=gan", "model.critic_steps=0"], "model.critic_steps is 0"),
        (["model=flow", "model.temperature=-1"], "model.temperature is -1"),
        (["schedule.T=20"], r"sampler.steps is 50; it must be from 1 to schedule.T=20"),
        (["loss=huber", "loss.delta=-1"], r"loss.delta is -1"),
        (["network.patch=3"], r"network.patch is 3"),
        (["trainer.accumulate=7"], r"accumulate=7"),
        (["trainer.gradients=fp16"], "trainer.gradients is 'fp16'; it must be one of 'fp32', 'bf16'"),
        (["trainer.gradients=bf16"], "one process: use trainer.devices=2 or more, or trainer.gradients=fp32"),
        (["budget.images=null"], "all null"),
        (["budget.images=-5"], r"budget.images is -5"),
        (["seed=-1"], "seed is -1"),
        (["seed=true"], "seed is true; it must be a whole number"),
        (["rerun=maybe"], "rerun is 'maybe'; it must be true or false"),
        (["+foo=1"], "foo is unknown"),
        (["+foo.bar=1"], "foo is unknown"),
        (["optim.betas=[0.9]"], "optim.betas is"),
        (["device=tpu"], "device is 'tpu'; it must be auto, cpu or cuda"),
        (["optim.lr=-1"], "optim.lr is -1; it must be at least 0"),
        (["sampler=ddim", "sampler.eta=2"], r"sampler.eta is 2"),
        (["data=image_folder"], r"data.root"),
        (["data=image_folder", "data.root=/nowhere"], "/nowhere"),
        (["metrics.samples=1"], "samples"),
        (["scores=[kid]", "scores.kid.subsets=0"], "scores.kid.subsets is 0"),
        (["+scores.fid.k=1"], "scores.fid.k is unknown"),
        (["schedule.T=many"], "schedule.T is 'many'; it must be a whole number"),
        (["schedule.T=10.5"], "schedule.T is 10.5"),
        (["optim.lr=fast"], "optim.lr is 'fast'"),
        (["trainer.clip_norm=big"], "trainer.clip_norm is 'big'; it must be a number or null"),
        (["network.width=null"], "network.width is null"),
        (["+network.depth=3"], "network.depth is unknown; UNet takes shape, num_classes, width"),
        (["conditional=7"], "conditional is 7; it must be true or false"),
        (["data=fashion_mnist", "data.root=/nowhere", "metrics=digits"], "nowhere"),
    ],
)
def test_bad_values_are_refused_with_the_value_before_any_work(overrides: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        app.build(config(*overrides))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("text=small",), "digits has none: choose data with captions"),
        (("text=small", "data=captioned", "conditional=true"), "captioned"),
        (("text=small", "conditional=true"), "leave conditional=true out, or use text=none"),
        (
            ("text=small", "data=captioned", "guidance=classifier"),
            "guidance=classifier_free for a model of text",
        ),
        (("text=small", "data=captioned", "network.context=0"), r"network \(UNet\) takes no text"),
        (("data=captioned", "guidance=classifier_free"), "needs classes or text.*text=small"),
    ],
)
def test_text_without_what_it_needs_or_beside_labels_is_refused(
    overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        app.build(config(*overrides, "device=cpu"))


def test_images_with_captions_are_no_condition_unless_text_is_asked_for() -> None:
    cfg = config("data=captioned", "device=cpu")
    assert not app.build(cfg).model.takes_text
    assert cfg.image.captioned
