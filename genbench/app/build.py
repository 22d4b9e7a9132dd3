"""From a configuration to objects."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast

from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genbench.app.earlier_run import cost_of_start
from genbench.app.messages import explain_error, refusing, wrapped_error
from genbench.app.run_names import resolved, without_hydra
from genbench.app.typed_keys import with_typed_keys
from genbench.app.words import parse_override
from genbench.config import schema
from genbench.config.groups import option_file, options
from genbench.errors import Failure, OutOfMemory, UsageError
from genbench.records.metric_kinds import KINDS
from genbench.runtime.downloads import downloads
from genbench.runtime.memory import FREE, is_out_of_memory, memory_for
from genbench.runtime.passwords import has_password, without_passwords
from genbench.runtime.printable import complain

if TYPE_CHECKING:
    from torch import Tensor

    from genbench.generator import Generator
    from genbench.session.run_parts import Parts

__all__ = [
    "asks_objective",
    "build",
    "check_groups",
    "check_job",
    "check_no_password",
    "check_objective",
    "check_search",
    "make",
    "noise_schedules",
    "seeded_model",
]

SIZED = (
    "model",
    "network",
    "prior_network",
    "vector_network",
    "autoencoder",
    "adversarial",
    "base_model",
    "flow",
    "pixel_law",
    "text",
)
"""Nodes of the configuration whose numbers say how large a model is."""


def build(
    cfg: DictConfig, *, job: int = 0, local: int = 0, each: int | None = None, silent: bool = False
) -> "Parts":
    """Build the objects of a configuration, and check the facts that hold between them; no image is read.

    job: its number in a sweep, which decides the device. local: the number of this process among the `each`
    processes of the run on this machine. silent: say nothing of weights that a later command may find.
    Fills in `image` of the configuration. Raises UsageError.
    """
    from genbench.metrics import MissingWeights
    from genbench.runtime import device as devices
    from genbench.runtime.compile import check_compiler
    from genbench.session.run_parts import Parts, no_optimizer
    from genbench.session.validation import check_validation
    from genbench.training.lr_schedule import Constant
    from genbench.training.recipe_checks import check_cuda_graphs, check_gradients, check_snapshots

    with refusing(), downloads(allowed=True):  # of what the user's own command names
        # Keys first, then the data, whose shape the values of all other groups refer to.
        tree = resolved(cfg)
        check_no_password(tree)
        schema.check_root(tree, cast("dict[str, Any]", OmegaConf.to_container(without_hydra(cfg))))
        schema.check(tree["data"], "data")
        each = tree["trainer"].get("devices", 1) if each is None else each
        device = devices.choose(cfg.device, job=job * each + local, together=each)
        source = make(cfg.data)
        source.check()
        if cfg.conditional:
            source.check_labels()
        OmegaConf.update(cfg, "image.shape", list(source.shape))
        OmegaConf.update(cfg, "image.num_classes", source.num_classes if cfg.conditional else 0)
        OmegaConf.update(cfg, "image.captioned", source.captioned)
        check_groups(cfg)
        model = seeded_model(cfg)
        OmegaConf.update(cfg, "image.prompted", model.takes_text)
        if model.takes_text:
            source.check_captions()
        parts = Parts(
            source=source,
            model=model,
            optim=make(cfg.optim) if model.phases else no_optimizer,
            lr_schedule=make(cfg.lr_schedule) if model.phases else Constant(),
            budget=make(cfg.budget),
            trainer=make(cfg.trainer),
            precision=make(cfg.precision),
            metrics=make(cfg.metrics),
            tracking=make(cfg.tracker),
            device=device,
            seed=cfg.seed,
            start=cost_of_start(cfg),
        )
        # What no constructor can check alone, since it is a fact of two objects.
        parts.tracking.check()
        parts.model.check_trainable()
        if parts.model.phases and parts.model.autocast_networks():
            parts.precision.check(device)
        parts.check_budget()
        parts.check_optim()
        check_validation(parts)
        check_snapshots(parts.model, parts.trainer.ema_snapshots)
        if parts.trainer.compile:
            check_compiler(device)
        # Of torchrun's processes each may be the only one of its machine, and trainer.devices is 1.
        count = int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else each
        check_cuda_graphs(parts.model, parts.recipe, parts.precision, device, processes=count)
        check_gradients(parts.trainer, count)
        try:
            parts.metrics.check_source(source)
        except MissingWeights as error:
            if parts.trainer.evaluate_every_images is not None:
                raise
            # A training takes longer than to fetch the weights, after which the same command evaluates.
            if not silent:
                complain(f"{error}; until then the run trains, but does not evaluate")
    return parts


def check_job(cfg: DictConfig) -> None:
    """Raise UsageError where a job of a sweep would be refused when it starts, which may be hours later.
    Its objects are built here, on this machine, and dropped.
    """
    with suppress(OutOfMemory), memory_for("building the model", FREE):  # the job itself says so
        parts = build(without_hydra(cfg), silent=True)
        with refusing():
            check_objective(cfg.objective, parts, is_asked=asks_objective(cfg))


def check_search(cfg: DictConfig) -> None:
    """Raise UsageError where a search cannot minimise its objective, as far as its defaults show.
    cfg: the configuration before any value is tried, which need not be one of a run.
    """
    try:
        with memory_for("building the model", FREE):
            parts = build(without_hydra(cfg), silent=True)
    except (OutOfMemory, UsageError):
        return  # each trial says so
    with refusing():
        check_objective(cfg.objective, parts, is_asked=True, is_minimised=True)


def asks_objective(cfg: DictConfig) -> bool:
    """Return True where the overrides of a job name its objective, which is fid by default."""
    words = [parse_override(word) for word in cfg.hydra.overrides.task]
    return any(word is not None and word.key_or_group == "objective" for word in words)


def check_objective(objective: str, parts: "Parts", *, is_asked: bool, is_minimised: bool = False) -> None:
    """Raise ValueError unless the objective is bits_per_dim or a metric kind of which lower is better, among
    those that genbench knows and those of the run's scores; if it is asked for, the run must measure it too.
    is_minimised: by a search; where the objective ends a training instead, higher may be better.
    """
    from genbench.generator import Likelihood

    own = {kind.key: kind for kind in parts.metrics.kinds}
    sides = (-1,) if is_minimised or parts.budget.until is None else (-1, 1)
    legal = [kind.key for kind in {**KINDS, **own}.values() if kind.better in sides] + ["bits_per_dim"]
    if objective not in legal:
        rule = "lower must be better" if sides == (-1,) else "one way must be better"
        raise ValueError(f"objective is {objective!r}; {rule}: choose from {', '.join(legal)}")
    measured = [key for key, kind in own.items() if kind.better in sides]
    if isinstance(parts.model, Likelihood) and parts.metrics.likelihood_samples != 0:
        measured.append("bits_per_dim")
    if is_asked and objective not in measured:
        there = f"choose from {', '.join(measured)}, or " if measured else ""
        what = f"scores=[{objective}]" if own else "metrics=standard"
        what = "another model" if objective == "bits_per_dim" else what
        raise ValueError(f"objective is {objective!r}, which this run does not measure: {there}use {what}")


def check_no_password(tree: dict[str, Any]) -> None:
    """Raise ValueError where a value of a resolved configuration holds a password, which a run would record.
    The words of a command are checked before; here it comes from a variable or a file that they name.
    """
    for place, leaf in schema.walk(tree):
        if isinstance(leaf, str) and has_password(leaf):
            raise ValueError(
                f"{schema.dotted(place)} is {without_passwords(leaf)}, whose password the run would record: "
                "leave it out"
            )


def make(node: DictConfig) -> Any:  # noqa: ANN401
    """Build the object that a node of the configuration describes; no other function instantiates.
    Raises ValueError with the keys that the user typed; TypeError or OSError wrapped by Hydra, as
    `explain_error` reads them; a lack of memory and a Failure, such as a damaged run that the model is made
    of, as they are: Hydra would wrap them as faults of the values.
    """
    written: Any = OmegaConf.to_container(node._get_root(), resolve=False)  # `instantiate` resolves it
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if cause is not None and (isinstance(cause, Failure) or is_out_of_memory(cause)):
            raise cause from None
        if isinstance(own := wrapped_error(error), ValueError):
            key = str(error).rpartition("full_key: ")[2]
            raise ValueError(with_typed_keys(str(own), written, key)) from error
        raise


def seeded_model(cfg: DictConfig) -> "Generator":
    """Build the model of a configuration on the CPU, with initial weights that follow from `seed` alone.
    Random numbers outside are not touched. Raises ValueError on a negative seed, and on what `make` refuses.
    """
    import torch

    from genbench.runtime import rng
    from genbench.runtime.model_size import ModelTooLargeError, limited_size

    if cfg.seed < 0:
        raise ValueError(f"seed is {cfg.seed}; it must be at least 0")
    tree: Any = OmegaConf.to_container(without_hydra(cfg))
    with rng.fork(torch.device("cpu")):
        torch.manual_seed(rng.derive(cfg.seed, "weights"))
        try:
            with limited_size():
                return make(cfg.model)
        except ModelTooLargeError as error:
            smaller = f"take a smaller one, its largest setting is {largest(tree)}"
            raise ValueError(f"{error}: {smaller}") from error


def largest(tree: Mapping[str, Any]) -> str:
    """Return the largest whole number that is typed for the networks of a configuration: network.width=9000.
    tree: it as plain data, with its references.
    """
    groups = {key: tree[key] for key in SIZED if key in tree}
    numbers = {place: value for place, value in schema.walk(groups) if type(value) is int}
    place = max(numbers, key=lambda place: numbers[place])
    return f"{schema.dotted(place)}={numbers[place]}"


def check_groups(cfg: DictConfig) -> None:
    """Check every value of a composed configuration against the constructor that it goes to.
    Parts are checked before the model that is made of them, so that the message names the part at fault.
    Raises ValueError with the key, the value and what is legal.
    """
    tree = resolved(cfg)
    for key in sorted(tree, key=lambda name: name == "model"):
        schema.check(tree[key], key)


def noise_schedules(T: int, names: Sequence[str] = ()) -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """Build every option of `schedule`, or those of some names in their order, also of plug-ins and of
    --config-dir, for a grid of T steps. Raises ValueError on a name that is none.
    Returns option -> alpha_bar on the grid, (T + 1,) float64, and option -> the reason why no grid of T steps
    has it. A learned one is named "learned (untrained)", and is as a seed of 0 draws its parameters.
    """
    import torch

    from genbench.diffusion.schedule import Schedule
    from genbench.runtime import rng

    tables, refused = dict[str, "Tensor"](), dict[str, str]()
    legal = options("schedule")
    if unknown := [name for name in names if name not in legal]:
        near = [f". Did you mean {name}?" for name in get_close_matches(unknown[0], legal, n=1)]
        raise ValueError(
            f"{unknown[0]} is not an option of schedule: choose from {', '.join(legal)}{''.join(near)}"
        )
    for name in names or legal:
        path = option_file("schedule", name)
        assert path is not None
        node = cast("DictConfig", OmegaConf.merge(OmegaConf.load(path), {"T": T}))
        try:
            schema.check(OmegaConf.to_container(node), "schedule")  # which finds modules beside --config-dir
            with rng.fork(torch.device("cpu")):
                torch.manual_seed(0)
                schedule = make(node)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            refused[name] = explain_error(error)
            continue
        if not isinstance(schedule, Schedule):
            refused[name] = f"{path} describes no schedule: its _target_ must be a class of schedules"
            continue
        is_learned = any(True for _ in schedule.parameters())
        tables[f"{name} (untrained)" if is_learned else name] = schedule.table.detach()
    return tables, refused
