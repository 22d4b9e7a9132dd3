"""From a configuration to a result: the only module that knows Hydra.

config -> objects -> train -> evaluate -> result.json and a table.
"""

import hashlib
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from genbench import schema
from genbench.run import Run, next_free

if TYPE_CHECKING:

    from genbench.generator import Generator
    from genbench.session import Parts, Session

__all__ = ["UsageError", "build", "door", "identity", "load", "register", "run"]

MACHINE_ONLY = (
    "image",
    "name",
    "device",
    "runs_dir",
    "rerun",
    "tracker",
    "data.root",
    "data.download",
    "metrics.features.weights",
    "trainer.checkpoint_every_seconds",
)
"""Keys that change where and how a run is kept, but none of its numbers: the identity leaves them out."""

EXIT_FAILED, EXIT_USAGE, EXIT_STOPPED = 1, 2, 130
PLAIN_WIDTH = 120  # columns of tables where no terminal says how wide it is
HINT = "`python main.py --help` lists the groups and their options, `--cfg job` all keys and their values"


class UsageError(Exception):
    """The configuration asks for something that cannot be; nothing has been done yet."""


def door(main: Callable[[], None]) -> None:
    """Run Hydra's main: a wrong configuration is one clear message and exit code 2, not a traceback."""
    register()
    # Threads that wait by spinning make a busy machine 20 times slower; OpenMP reads this when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    tracebacks = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print and exit with 1 by itself; its errors come here
    try:
        main()
    except (UsageError, HydraException, OmegaConfBaseException) as error:
        if tracebacks:
            raise
        print(f"genbench: {message(error)}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    except (
        FloatingPointError
    ) as error:  # it says where and what to do; the interpreter's lines would hide that
        if tracebacks:
            raise
        print(f"genbench: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_STOPPED)


def message(error: BaseException) -> str:
    """What an error says, without the interpreter's context; where Hydra wraps one of ours, ours."""
    if isinstance(error, InstantiationException) and isinstance(
        error.__cause__, ValueError | TypeError | OSError
    ):
        return str(error.__cause__)
    text = str(error).partition("Config search path:")[0].strip()
    return f"{text}\n{HINT}" if isinstance(error, HydraException) else text


def register() -> None:
    """Teach OmegaConf the names of runs, which follow from the configuration."""
    OmegaConf.register_new_resolver("genbench.run_name", lambda *, _root_: run_name(_root_), replace=True)
    OmegaConf.register_new_resolver("genbench.run_dir", lambda *, _root_: str(run_dir(_root_)), replace=True)


def run_dir(cfg: DictConfig) -> Path:
    """runs_dir/name/run, with a number behind it where rerun=true finds it taken."""
    path = Path(cfg.runs_dir) / str(cfg.name) / run_name(cfg)
    return next_free(path) if cfg.rerun else path


def run_name(cfg: DictConfig) -> str:
    """The model, the data, the seed, and the identity of the rest."""
    choices = cfg.hydra.runtime.choices
    return f"{choices['model']}-{choices['data']}-seed{cfg.seed}-{identity(cfg)[:8]}"


def identity(cfg: DictConfig) -> str:
    """The hash of the resolved configuration without machine-only keys (and without Hydra's own).

    Taken before the facts of the data are filled in, which follow from the rest.
    """
    own = OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])
    tree = OmegaConf.to_container(own, resolve=True)
    for key in MACHINE_ONLY:
        *parents, leaf = key.split(".")
        node: Any = tree
        for parent in parents:
            node = node.get(parent, {})
        node.pop(leaf, None)
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def run(cfg: DictConfig) -> None:
    """One run, from its configuration to its result; goes on where an earlier one of the same left off."""
    here = Run(Path(HydraConfig.get().runtime.output_dir))
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    result = here.result()
    if here.status == "done" and result is not None:
        from genbench.report import print_result

        console.print("This run is finished; rerun=true starts it afresh in a directory beside it.")
        print_result(result, console)
        console.print(str(here.path), soft_wrap=True, highlight=False)
        return
    try:
        session = open_session(cfg, here, console)
    except UsageError:
        discard(here)
        raise
    session.run()


def open_session(cfg: DictConfig, here: Run, console: Console) -> "Session":
    """All that the user may have to mend: the configuration, the data, the checkpoint. Raises UsageError."""
    who = identity(cfg)
    parts = build(cfg)
    from genbench.session import Session

    config = OmegaConf.to_container(cfg, resolve=True)
    try:
        return Session(parts, here, who, config, choices(), console)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error


def choices() -> dict[str, str]:
    """The option chosen in each group: model -> ddpm, schedule -> cosine, .."""
    chosen = HydraConfig.get().runtime.choices
    return {
        group.partition("@")[0]: option
        for group, option in chosen.items()
        if option is not None and not group.startswith("hydra")
    }


def discard(here: Run) -> None:
    """Remove what Hydra wrote for a run that was refused before it began."""
    if here.record() is not None:
        return
    shutil.rmtree(here.path / ".hydra", ignore_errors=True)
    (here.path / "main.log").unlink(missing_ok=True)
    if here.path.exists() and not any(here.path.iterdir()):
        here.path.rmdir()


def build(cfg: DictConfig) -> "Parts":
    """The objects of a configuration, and the facts that hold between them; no image is read.

    Fills in `image`. Raises UsageError on whatever cannot be built.
    """
    from genbench import device as devices
    from genbench.metrics import MissingWeights
    from genbench.session import Parts

    try:
        device = devices.choose(cfg.device)
        if not isinstance(cfg.conditional, bool):
            raise ValueError(f"conditional is {cfg.conditional!r}; it must be true or false")
        schema.check(OmegaConf.to_container(cfg.data, resolve=True), "data")
        source = make(cfg.data)
        source.check()
        if cfg.conditional and source.num_classes == 0:
            raise ValueError(f"conditional=true needs labels, and {source.name} has none: take other data")
        OmegaConf.update(cfg, "image.shape", list(source.shape))
        OmegaConf.update(cfg, "image.num_classes", source.num_classes if cfg.conditional else 0)
        check_tree(cfg)
        parts = Parts(
            source=source,
            model=seeded_model(cfg),
            optim=make(cfg.optim),
            lr_schedule=make(cfg.lr_schedule),
            budget=make(cfg.budget),
            trainer=make(cfg.trainer),
            precision=make(cfg.precision),
            metrics=make(cfg.metrics),
            tracking=make(cfg.tracker),
            device=device,
            seed=cfg.seed,
        )
        parts.optim(parts.model.parameters())  # an optimizer refuses its settings only when it is made
        try:
            parts.metrics.features.check(source)
        except MissingWeights as error:
            warnings.warn(
                f"{error}\nThe run will train, and evaluate when it is started again.", stacklevel=2
            )
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, OSError) as error:
        raise UsageError(message(error)) from error
    return parts


def make(node: DictConfig) -> Any:  # noqa: ANN401
    """The object that a node of the configuration describes; the one place that instantiates."""
    return instantiate(node, _convert_="all")


def seeded_model(cfg: DictConfig) -> "Generator":
    """The model with its random start fixed by the seed."""
    import torch

    from genbench import rng

    if not isinstance(cfg.seed, int) or cfg.seed < 0:
        raise ValueError(f"seed is {cfg.seed!r}; it must be a whole number of at least 0")
    with rng.fork(torch.device("cpu")):
        torch.manual_seed(rng.derive(cfg.seed, "weights"))
        return make(cfg.model)


def check_tree(cfg: DictConfig) -> None:
    """Hold every value to the constructor that it goes to; the parts first, then what is made of them."""
    tree = OmegaConf.to_container(cfg, resolve=True)
    for key in sorted(tree, key=lambda name: name == "model"):
        schema.check(tree[key], key)


def load(run_dir: str | Path, *, device: str = "auto", weights: str = "ema") -> "Generator":
    """The trained model of a run, in evaluation mode; weights is "ema" or "raw".

    Raises FileNotFoundError where the run has no checkpoint yet.
    """
    from genbench import device as devices
    from genbench.checkpoint import CheckpointStore

    here, target = Run(Path(run_dir)), devices.choose(device)
    record, checkpoint = here.record(), CheckpointStore(here.checkpoints).load(target)
    if record is None or checkpoint is None:
        raise FileNotFoundError(f"{run_dir} holds no trained model: give the directory of a run")
    names = {"ema": "ema", "raw": "model"}
    if weights not in names:
        raise ValueError(f"weights is {weights!r}; it must be ema or raw")
    cfg = OmegaConf.create(record["config"])
    check_tree(cfg)
    model = make(cfg.model).to(target)
    model.load_state_dict(checkpoint[names[weights]])
    make(cfg.precision).apply(model.networks(), target)
    return model.eval()
