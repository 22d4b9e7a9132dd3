"""The runs of each part of the benchmark, as overrides of `python main.py`, and what is measured of them."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser

from benchmarks.commands import ROOT
from benchmarks.publish.enlarged import FOLDER, enlarge
from benchmarks.publish.measure import target
from benchmarks.publish.planned import Later, Place, Planned, Size
from genbench.config.groups import option_file, options
from genbench.config.option_folders import read_option

__all__ = [
    "TUNED",
    "claims",
    "digits_defaults",
    "digits_seconds",
    "fashion_mnist",
    "few_steps",
    "gaussians",
    "guidance",
    "heat_map",
    "stability",
    "text",
    "time_to_target",
    "tiny_data",
]

EXCLUDED = ("diffusers", "unclip", "autoencoder")
"""Models that are not trained here, draw to texts alone, or whose samples are no purpose of theirs."""
TUNED = ("gan", "flow_matching", "ddpm", "vae", "flow", "autoregressive")
"""Families with a preset for Fashion-MNIST, which have three seeds there; the others have one."""
FOLDED = (
    *("network.patch=4", "network.multipliers=[1,2]", "trainer.batch_size=64"),
    *("data=captioned", "text=small", "metrics=captions"),
)
TEXT = {
    "ddpm": ("experiment=text_to_image",),
    "flow_matching": ("experiment=text_to_image_flow_matching",),
    "latent_diffusion": ("experiment=text_to_image_latent",),
    "consistency": ("network=unet_folded", "network.width=64", "optim.lr=1.5e-3", *FOLDED),
    "unclip": (
        *("guidance=classifier_free", "guidance.scale=2", "network.width=48", "network.attention_side=8"),
        *("optim.lr=2e-3", "sampler=dpm_solver", "sampler.steps=20", "solver.steps=8", *FOLDED),
    ),
}
"""Models that take texts, with their presets for captioned scenes, or the settings of docs/text.md."""
STABLE = ("gan", "ddpm", "vae", "flow")
STEPPED = ("ddpm", "flow_matching", "consistency")
INPAINTING = ("ddpm", "flow_matching", "consistency", "masked_diffusion", "autoregressive")
SCORES = "scores=[is,fid,kid,precision_recall,authenticity]"
RATE = {"gan": 300, "vae": 230, "flow": 160, "autoregressive": 25, "vqvae": 400}
"""Images a second of training on Fashion-MNIST, at least: some five to ten quick evaluations a training."""
OTHERS = 100
CHECKED = 120.0
"""Seconds of training between two checks whether a target is reached, roughly."""

REAL = Later("real.png", ("benchmarks.publish.measure", "real", "RUN", "OUT"), 10)
STRIP = Later("strip.png", ("benchmarks.publish.measure", "strip", "RUN", "OUT"), 10)
SAMPLERS = Later(
    "sampler_sweeps/samplers",
    (
        *("genbench", "sampler-sweep", "RUN", "--out", "OUT"),
        *("--samplers", "ancestral,ddim", "--steps", "10,50,100,250,1000"),
    ),
    300,
)
COPIES = Later("copies.json", ("benchmarks.publish.measure", "copies", "RUN", "OUT"), 20)
HALVES = Later("halves.json", ("benchmarks.publish.measure", "halves", "RUN", "OUT"), 60)


def models() -> list[str]:
    """Return the models that are compared: all that are trained here, but for `EXCLUDED`."""
    return [name for name in options("model") if name not in EXCLUDED]


def run(part: str, size: Size, words: Sequence[str], seconds: float, *later: Later) -> Planned:
    """Return a planned run with what all have in common, and with what makes its model small in a toy."""
    common = (f"name={part}", "tracker=jsonl", "device=cpu", "precision=fp32", "trainer.animation=null")
    planned = Planned(part, (*words, *common), seconds, later)
    if size.name == "full":
        return planned
    short = ("trainer.sample_every_images=null", *size.small.get(planned.model, ()))
    return planned._replace(words=(*planned.words, *short))


def strips(model: str, seed: int) -> list[Later]:
    """Return the pictures of a run: samples of the first seed, and real images beside those of one model."""
    return [STRIP, *[REAL] * (model == "ddpm")] if seed == 0 else []


def equal_seconds(size: Size, seconds: float) -> list[str]:
    """Return the overrides of a training of so many seconds, scored by as many samples as the size has."""
    found = ["budget.images=null", f"budget.seconds={seconds:g}"]
    return found if size.name == "full" else [*found, f"metrics.samples={size.samples}"]


def digits_seconds(size: Size, where: Place) -> Iterator[Planned]:
    """Yield every model on digits, at equal seconds."""
    for model, seed in itertools.product(size.chosen(models()), size.seeds):
        words = [f"model={model}", f"seed={seed}", *equal_seconds(size, size.digits), SCORES]
        later = [*strips(model, seed), *[HALVES] * (model in INPAINTING)]
        yield run("digits_seconds", size, words, size.digits + 30, *later)


def digits_defaults(size: Size, where: Place) -> Iterator[Planned]:
    """Yield every model on digits with the budget that its options have."""
    short = [] if size.name == "full" else [f"budget.images={size.images}", f"metrics.samples={size.samples}"]
    for model, seed in itertools.product(size.chosen(models()), size.seeds):
        yield run("digits_defaults", size, [f"model={model}", f"seed={seed}", *short], 90)


def files(where: Place) -> list[str]:
    """Return the overrides that say where the files of Fashion-MNIST lie; none where they are downloaded."""
    return [] if where.root is None else [f"data.root={where.root}", "data.download=false"]


def fashion(size: Size, where: Place, model: str) -> list[str]:
    """Return the overrides of a model on Fashion-MNIST: its preset, or its options for digits; a toy takes
    digits in their place.
    """
    if size.name != "full":
        return [f"model={model}"]
    preset_of = f"fashion_mnist_{model}"
    chosen = f"experiment={preset_of}" if preset_of in options("experiment") else "data=fashion_mnist"
    return [f"model={model}", chosen, *files(where), "features=fashion_mnist"]


def fashion_mnist(size: Size, where: Place) -> Iterator[Planned]:
    """Yield every model on Fashion-MNIST at equal seconds, with quick evaluations for its curve."""
    for model in size.chosen(models()):
        every = max(int(size.fashion * RATE.get(model, OTHERS) / 5) // 100 * 100, 100)
        words = [
            *(*fashion(size, where, model), *equal_seconds(size, size.fashion), SCORES),
            *(f"metrics.samples={size.samples}", f"metrics.likelihood_samples={size.samples // 2}"),
            *(f"trainer.evaluate_every_images={every}", "trainer.evaluate_samples=200"),
        ]
        for seed in size.seeds if model in TUNED else size.seeds[:1]:
            yield run(
                *("fashion_mnist", size, [*words, f"seed={seed}"], size.fashion * 1.5), *strips(model, seed)
            )


def preset(name: str) -> Iterator[list[str]]:
    """Yield the overrides of each job of a preset of conf/sweep."""
    path = option_file("sweep", name)
    assert path is not None
    params: Mapping[str, object] = read_option(path)["hydra"]["sweeper"]["params"]
    values = [each_value(f"{key}={plain(value)}") for key, value in params.items()]
    yield from (list(job) for job in itertools.product(*values))


def plain(value: object) -> str:
    """Return a value of a YAML file as it is written on a command line."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def each_value(words: str) -> list[str]:
    """Return the overrides of one key, one for each value that a sweep has of it; a list is one value."""
    (found,) = OverridesParser.create().parse_overrides([words])
    if not found.is_sweep_override():
        return [words]
    return [f"{found.get_key_element()}={value}" for value in found.sweep_string_iterator()]


def heat_map(size: Size, where: Place) -> Iterator[Planned]:
    """Yield the DDPM with each noise schedule and each loss, as `sweep=schedule_x_loss` has them."""
    short = [] if size.name == "full" else [f"metrics.samples={size.samples}"]
    for words, seed in itertools.product(preset("schedule_x_loss"), size.seeds):
        yield run("heat_map", size, [*words, f"seed={seed}", f"budget.images={size.images}", *short], 70)


def guidance(size: Size, where: Place) -> Iterator[Planned]:
    """Yield a conditional DDPM with classifier-free guidance, to be swept over scales."""
    scales = "0,0.5,1,1.5,2,3,5" if size.name == "full" else "0,1"
    sweep = ("genbench", "sampler-sweep", "RUN", "--out", "OUT", "--scales", scales)
    words = [
        "model=ddpm",
        "conditional=true",
        "guidance=classifier_free",
        f"budget.images={size.images}",
        SCORES,
    ]
    short = [] if size.name == "full" else [f"metrics.samples={size.samples}"]
    for seed in size.seeds:
        later = Later("sampler_sweeps/scales", sweep, 200)
        yield run("guidance", size, [*words, *short, f"seed={seed}"], 90, later)


def few_steps(size: Size, where: Place) -> Iterator[Planned]:
    """Yield models that draw step by step, to be swept over their numbers of steps."""
    steps = "1,2,4,8,16,32,50" if size.name == "full" else "1,2"
    sweep = ("genbench", "sampler-sweep", "RUN", "--out", "OUT", "--steps", steps)
    own = {"ddpm": ["sampler=ddim"], "flow_matching": ["solver=euler"]}
    short = [] if size.name == "full" else [f"metrics.samples={size.samples}"]
    for model, seed in itertools.product(size.chosen(STEPPED), size.seeds):
        words = [f"model={model}", *own.get(model, []), f"budget.images={size.images}", *short]
        later = Later("sampler_sweeps/steps", sweep, 120)
        yield run("few_steps", size, [*words, f"seed={seed}"], 90, later)


def gaussians(size: Size, where: Place) -> Iterator[Planned]:
    """Yield every model on a distribution that is known exactly, whose likelihood has a floor."""
    words = ["data=gaussians", f"budget.images={size.gaussians}"]
    short = [] if size.name == "full" else [f"metrics.samples={size.samples}"]
    for model, seed in itertools.product(size.chosen(models()), size.seeds):
        yield run("gaussians", size, [f"model={model}", *words, *short, f"seed={seed}"], 90)


def stability(size: Size, where: Place) -> Iterator[Planned]:
    """Yield four models over factors on their learning rates, as `sweep=stability` has them."""
    short = [] if size.name == "full" else [f"metrics.samples={size.samples}"]
    jobs = [job for job in preset("stability") if size.name == "full" or job[1] == "seed=0"]
    for model, job in itertools.product(size.chosen(STABLE), jobs):
        words = [
            f"model={model}",
            *job,
            f"budget.images={size.stable}",
            "metrics.likelihood_samples=0",
            *short,
        ]
        yield run("stability", size, words, 40)


def time_to_target(size: Size, where: Place) -> Iterator[Planned]:
    """Yield every model until it comes to ten times the score of held-out images, or to the limit."""
    samples = 500 if size.name == "full" else size.samples
    held_aside = "data.validation=0.1"
    until = target([*fashion(size, where, "ddpm"), held_aside], samples, where)
    for model in size.chosen(models()):
        every = int(CHECKED * RATE.get(model, OTHERS)) if size.name == "full" else 200
        words = [
            *(*fashion(size, where, model), "budget.images=null", f"budget.seconds={size.target:g}"),
            *(held_aside, f"budget.until={until:g}", f"trainer.validate_every_images={every}"),
            *(f"trainer.evaluate_samples={samples}", f"metrics.samples={samples}"),
            *("metrics.likelihood_samples=0", "scores=[fid]", "seed=0"),
        ]
        yield run("time_to_target", size, words, 1.5 * size.target)


def tiny_data(size: Size, where: Place) -> Iterator[Planned]:
    """Yield every model on 100 images of digits: all others are set aside for validation."""
    words = ["data.validation=0.93", "trainer.validate_every_images=null", SCORES]
    for model, seed in itertools.product(size.chosen(models()), size.seeds):
        equal = equal_seconds(size, size.tiny)
        own = [f"model={model}", *words, *equal, f"seed={seed}"]
        yield run("tiny_data", size, own, size.tiny + 30, COPIES)


def text(size: Size, where: Place) -> Iterator[Planned]:
    """Yield models of text on captioned scenes, at equal seconds."""
    for model in size.chosen([*TEXT]):
        toy = ("text=small", "data=captioned", "metrics=captions")
        own = TEXT[model] if size.name == "full" else toy
        words = [f"model={model}", *own, "metrics.likelihood_samples=0", "seed=0"]
        count = f"metrics.samples={500 if size.name == 'full' else size.samples}"
        budget = ["budget.images=null", f"budget.seconds={size.text:g}", count]
        yield run("text", size, [*words, *budget], size.text * 1.2, STRIP)


def claims(size: Size, where: Place) -> Iterator[Planned]:
    """Yield the runs of the claims, as the presets `sweep=claims_*` have them; none of a toy. Those on larger
    images take a folder of enlarged ones, which is made before the first run.
    """
    presets = [name for name in options("sweep") if name.startswith("claims_")] if size.name == "full" else []
    if presets and not where.only_listed:
        enlarge(["data=fashion_mnist", *files(where)], ROOT / FOLDER)
    for name in presets:
        path = option_file("sweep", name)
        assert path is not None
        large = [f"data.root={FOLDER}", "data.channels=1"] * ("image_folder" in path.read_text())
        for words in preset(name):
            own = (f"sweep={name}", "hydra.mode=RUN", *words, *large, "tracker=jsonl", "device=cpu")
            is_swept = name == "claims_families" and "model=ddpm" in words
            yield Planned("claims", own, 180 if large else 40, (SAMPLERS,) * is_swept)
