"""Words of the field that are no keys here (epochs, lr, batch_size), and the settings that they mean."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from genbench.app.misfit import composed
from genbench.app.words import parse_override
from genbench.config import schema
from genbench.config.groups import groups, is_group, options
from genbench.config.option_folders import import_target
from genbench.records.flatten import flatten

__all__ = ["FIELD_WORDS", "Meaning", "instead", "keys_of"]

Tree = Mapping[str, Any]
"""A configuration as plain data, with its references."""


def as_given(value: str, tree: Tree) -> str:
    """Return the value as it is typed."""
    return value


def one_of(values: Mapping[str, str], value: str, tree: Tree) -> str:
    """Return the value here that stands for one elsewhere; raises KeyError where none does."""
    return values[value.lower()]


def whole(images: float) -> str:
    """Return a number of images as it is typed; raises ValueError where it rounds to none, or below."""
    if round(images) < 1:
        raise ValueError(f"{images} is no number of images")
    return str(round(images))


def images_of_epochs(value: str, tree: Tree) -> str:
    """Return the images of a number of epochs of the chosen data; raises what its source raises."""
    node: Any = OmegaConf.to_container(OmegaConf.create(dict(tree)).data, resolve=True)
    target = import_target(node.pop("_target_"))
    return whole(float(value) * target(**node).counts()["train"])


def images_of_steps(value: str, tree: Tree) -> str:
    """Return the images of a number of updates of the trainer's batch size."""
    return whole(float(value) * tree["trainer"]["batch_size"])


def halflife_of_decay(value: str, tree: Tree) -> str:
    """Return the half-life, in images, of an average whose weights shrink by this factor at each update.
    Raises ValueError on a factor that is not between 0 and 1.
    """
    if not 0 < float(value) < 1:
        raise ValueError(f"a decay is between 0 and 1, and not {value}")
    return str(round(tree["trainer"]["batch_size"] * math.log(0.5) / math.log(float(value))))


class Meaning(NamedTuple):
    """A setting that a word of the field may mean: its key, the value there for one given, and a note.
    convert: raises ValueError, KeyError or the like on a value that stands for none here. otherwise: what
    is typed before the value where the configuration lacks the key; "" where the key is not offered then.
    """

    key: str
    convert: Callable[[str, Tree], str] = as_given
    note: str = ""
    otherwise: str = ""


def of_score(name: str) -> tuple[Meaning, Meaning]:
    """Return the settings that the name of a score may mean: true measures it alone, false none."""
    alone = partial(one_of, {"true": f"[{name}]"})
    without = partial(one_of, {"false": "none"})
    return Meaning("scores", alone, "and no other", otherwise="scores"), Meaning("metrics", without)


BF16 = partial(one_of, {"true": "bf16", "fp16": "fp16", "bf16": "bf16", "false": "fp32", "no": "fp32"})
UPDATES = Meaning("budget.images", images_of_steps, "updates times trainer.batch_size")
SAMPLING_STEPS: tuple[Meaning, ...] = tuple(Meaning(key, note="of sampling") for key in schema.STEPS)
ANY_STEPS: tuple[Meaning, ...] = (*SAMPLING_STEPS, UPDATES)
OF_TRACKER = "metrics.jsonl is always written"

Row = tuple[str, *tuple[Meaning, ...]]

ROWS: tuple[Row, ...] = (
    (
        "epoch epochs n_epochs num_epochs max_epochs num_train_epochs",
        Meaning("budget.images", images_of_epochs, "the epochs times the training images"),
    ),
    ("steps step num_steps n_steps", *ANY_STEPS),
    (
        "iterations iters n_iter n_iters num_iterations max_iters max_steps total_steps train_steps "
        "training_steps num_train_steps max_train_steps updates",
        UPDATES,
    ),
    (
        "sampler_steps sampling_steps num_sampling_steps sample_steps num_inference_steps "
        "inference_steps ddim_steps nfe",
        *SAMPLING_STEPS,
    ),
    (
        "t timesteps n_timesteps num_timesteps diffusion_steps num_diffusion_steps num_train_timesteps",
        Meaning("schedule.T", note="of the noise schedule"),
    ),
    ("lr learning_rate base_lr max_lr", Meaning("optim.lr")),
    ("wd weight_decay", Meaning("optim.weight_decay")),
    ("batch bs batch_size batchsize train_batch_size mini_batch_size", Meaning("trainer.batch_size")),
    ("eval_batch_size sample_batch_size", Meaning("metrics.batch_size")),
    ("grad_accum accum gradient_accumulation_steps accumulate", Meaning("trainer.accumulate")),
    ("clip grad_clip clip_grad max_grad_norm gradient_clip_val", Meaning("trainer.clip_norm")),
    ("time_limit max_time max_seconds", Meaning("budget.seconds")),
    ("dataset datasets data_set dataset_name", Meaning("data")),
    (
        "root path data_dir data_path data_root dataroot datadir dataset_dir",
        Meaning("data.root", otherwise="data=image_folder data.root"),
    ),
    (
        "image_size img_size imsize resolution",
        Meaning("data.size", otherwise="data=image_folder data.size"),
    ),
    (
        "gpus gpu n_gpus num_gpus ngpu n_gpu devices num_devices world_size nproc_per_node",
        Meaning("trainer.devices", note="one process per GPU"),
    ),
    ("cuda use_cuda", Meaning("device", partial(one_of, {"true": "cuda", "false": "cpu"}))),
    (
        "dim width channels ch base_channels num_channels n_channels model_channels hidden hidden_dim "
        "hidden_size ngf",
        Meaning("network.width"),
    ),
    ("depth n_blocks num_blocks num_res_blocks n_layers num_layers layers", Meaning("network.blocks")),
    ("p_dropout drop_rate", Meaning("network.dropout")),
    ("arch architecture backbone net", Meaning("network")),
    ("family generator model_name model_type", Meaning("model")),
    (
        "output output_dir outdir out_dir out save_dir savedir log_dir logdir results_dir work_dir",
        Meaning("runs_dir"),
    ),
    (
        "run run_path from_run",
        Meaning("guidance.classifier.run_dir"),
        Meaning("autoencoder.run_dir"),
        Meaning("base_model.run_dir"),
    ),
    ("exp exp_name experiment_name run_name group tag", Meaning("name")),
    ("seeds random_seed manual_seed", Meaning("seed")),
    (
        "n_samples num_samples samples sample_size num_fid_samples fid_samples eval_samples",
        Meaning("metrics.samples"),
    ),
    (
        "scheduler",
        Meaning("schedule", note="of the noise"),
        Meaning("lr_schedule", note="of the learning rate"),
        Meaning("sampler", note="of diffusion models"),
    ),
    ("noise_schedule beta_schedule noise_scheduler", Meaning("schedule")),
    ("lr_scheduler learning_rate_schedule lr_decay", Meaning("lr_schedule")),
    ("sampling_method sampler_type sampler_name", Meaning("sampler"), Meaning("solver")),
    ("optimizer optimiser opt optimizer_name", Meaning("optim")),
    ("loss_type loss_fn criterion_type", Meaning("loss")),
    ("prediction_type pred_type objective_type predict", Meaning("parameterization")),
    (
        "cfg cfg_scale guidance_scale guidance_strength",
        Meaning("guidance.scale"),
        Meaning("guidance", note="with conditional=true; then guidance.scale"),
    ),
    (
        "ema ema_decay ema_rate use_ema",
        Meaning("trainer.ema_halflife_images", halflife_of_decay, "averages are always kept"),
    ),
    (
        "fp16 bf16 amp half use_fp16 use_amp use_bf16 mixed_precision autocast dtype",
        Meaning("precision", BF16, "fp32, bf16, fp16 or auto"),
    ),
    (
        "wandb use_wandb log_wandb report_to logger",
        Meaning(
            "tracker",
            partial(one_of, {"true": "wandb", "false": "jsonl", "wandb": "wandb", "none": "jsonl"}),
            OF_TRACKER,
        ),
    ),
    (
        "tensorboard use_tensorboard",
        Meaning("tracker", partial(one_of, {"true": "tensorboard", "false": "jsonl"}), OF_TRACKER),
    ),
    ("mlflow", Meaning("tracker", partial(one_of, {"true": "mlflow", "false": "jsonl"}), OF_TRACKER)),
    *((name, *of_score(name)) for name in ("fid", "kid", "is", "swd", "nearest", "authenticity")),
    ("metric metric_names", Meaning("scores", otherwise="scores")),
    (
        "cond class_cond class_conditional use_labels conditioning",
        Meaning("conditional", partial(one_of, {"true": "true", "false": "false"})),
    ),
    ("overwrite restart force from_scratch", Meaning("rerun", note="resuming is what a repetition does")),
    (
        "resume resume_from",
        Meaning(
            "rerun",
            partial(one_of, {"false": "true"}),
            "true starts a new run; the same command again resumes its run",
        ),
    ),
    ("debug dryrun test_run fast_dev_run", Meaning("dry_run")),
    ("save_every checkpoint_every save_interval", Meaning("trainer.checkpoint_every_seconds")),
    ("log_every log_interval log_freq", Meaning("trainer.log_every_images", images_of_steps)),
    ("eval_every eval_interval", Meaning("trainer.evaluate_every_images", images_of_steps)),
    ("sample_every sample_interval", Meaning("trainer.sample_every_images", images_of_steps)),
)
"""Words of other trainers' command lines, in lower case with underscores, and the settings here that they may
mean, the likeliest first. A setting that the chosen model lacks is not offered.
"""

FIELD_WORDS = {word: tuple(meanings) for words, *meanings in ROWS for word in words.split()}


def instead(word: str, value: str, overrides: Sequence[str] = ()) -> str:
    """Return the settings that a word of the field means, as they are typed here, with notes; "" if none.

    word: a key, such as lr, trainer.max_epochs or --batch-size; value: as typed. overrides: the others of
    the command, which say the model and the data. What has no value here is offered as KEY=VALUE.
    """
    name = word.lstrip("+~-").replace("-", "_")
    group, _, last = name.lower().rpartition(".")
    meanings = FIELD_WORDS.get(name.lower()) or FIELD_WORDS.get(last, ())
    # sampler.num_steps means what the sampler has of it.
    of_group = [each for each in meanings if each.key.partition(".")[0] == group.partition(".")[0]]
    if name in [each.key for each in meanings]:  # a key of genbench's, which this model or these data lack
        return ""
    tree = composed_as_far(overrides)
    offers = [offer for meaning in of_group or meanings for offer in offered(meaning, value, tree)]
    certain = [text for text, is_certain in offers if is_certain]
    return "; or ".join(dict.fromkeys(certain or [text for text, _ in offers]))


def offered(meaning: Meaning, value: str, tree: Tree) -> Iterator[tuple[str, bool]]:
    """Yield the settings of a meaning with their value and note, and True where the value is a legal one."""
    note = f" ({meaning.note})" if meaning.note else ""
    legal = options(meaning.key) if is_group(meaning.key) else []
    try:
        values = [meaning.convert(part, tree) for part in value.split(",")]
    except Exception:  # of a source of images, or of a text that is not a number: the key alone is offered
        values = []
    is_certain = (
        all(values) and bool(values) and (not legal or {part.strip("[]") for part in values} <= {*legal})
    )
    choose = f": choose from {', '.join(legal)}" if legal and not is_certain else ""
    shown = ",".join(values) if is_certain else "OPTION" if legal else "VALUE"
    for key in places(meaning, tree):
        yield f"{key}={shown}{note}{choose}", is_certain


def places(meaning: Meaning, tree: Tree) -> list[str]:
    """Return where a configuration has a key: there, or in parts of its group, as network.encoder.width."""
    known = keys_of(tree)
    if meaning.key in known or meaning.key in tree:  # a group may have no setting
        return [meaning.key]
    group, dot, last = meaning.key.partition(".")
    parts = [path for path in known if dot and path.startswith(f"{group}.") and path.endswith(f".{last}")]
    return parts or [meaning.otherwise] * bool(meaning.otherwise)


def composed_as_far(words: Sequence[str]) -> Tree:
    """Return the unresolved configuration of overrides, without those that cannot be composed together."""
    parsed = [(word, parse_override(word)) for word in words]
    single = [(word, found) for word, found in parsed if found and not found.is_sweep_override()]
    chosen = [word for word, found in single if found.key_or_group in groups()]
    models = [word for word, found in single if found.key_or_group in ("model", "data")]
    every = [word for word, _ in single]
    return next(filter(None, map(composed, (every, chosen, models, []))), {})


def keys_of(tree: Tree) -> list[str]:
    """Return the dotted keys of all settings and of the nodes that hold them, in the order of the tree."""
    leaves = (key.split(".") for key in flatten(tree) if not key.endswith("_target_"))
    every = (".".join(parts[: end + 1]) for parts in leaves for end in range(len(parts)))
    return list(dict.fromkeys(every))
