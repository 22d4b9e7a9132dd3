"""From a configuration to a result: the only module that knows Hydra.

config -> objects -> train -> evaluate -> result.json and a table.
"""

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException
from rich.console import Console

from genbench import schema
from genbench.errors import Unmeasured, UsageError
from genbench.identity import hashed
from genbench.run import Run, rerun_path
from genbench.stop import Stopped

if TYPE_CHECKING:
    from genbench.generator import Generator
    from genbench.session import Parts, Session

__all__ = ["build", "door", "identity", "load", "register", "run"]

CORE = (
    "image",
    "data",
    "model",
    "budget",
    "optim",
    "lr_schedule",
    "trainer",
    "precision",
    "metrics",
    "tracker",
)
"""The nodes that every run has; all others are axes that a model refers to."""

ROOT = {"name": str, "seed": int, "conditional": bool, "device": str, "runs_dir": str, "rerun": bool}
"""The keys of the configuration that belong to no group, and their types."""

CONF = Path(__file__).resolve().parents[1] / "conf"
LACKING = re.compile(r"Could not override '(?P<axis>\w+)'\.\s+No match in the defaults list")
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
EXIT_FAILED, EXIT_USAGE, EXIT_UNMEASURED, EXIT_STOPPED = 1, 2, 3, 130
PLAIN_WIDTH = 120  # columns of tables where no terminal says how wide it is
HINT = "`python main.py --help` lists the groups and their options, `--cfg job` all keys and their values"


def door(main: Callable[[], None]) -> None:
    """Run Hydra's main: a wrong configuration is one clear message and exit code 2, not a traceback."""
    register()
    # Threads that wait by spinning make a busy machine 20 times slower; OpenMP reads this when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    tracebacks = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print and exit with 1 by itself; its errors come here
    try:
        main()
    except (UsageError, Unmeasured, FloatingPointError, HydraException, OmegaConfBaseException) as error:
        if tracebacks:
            raise
        leave(error)
    except KeyboardInterrupt:
        sys.exit(EXIT_STOPPED)


def leave(error: Exception) -> NoReturn:
    """Say what is wrong, and exit with the code that belongs to it."""
    print(f"genbench: {message(error)}", file=sys.stderr)
    codes = {FloatingPointError: EXIT_FAILED, Unmeasured: EXIT_UNMEASURED}
    sys.exit(codes.get(type(error), EXIT_USAGE))


def message(error: BaseException) -> str:
    """What an error says, without the interpreter's context; where Hydra wraps one of ours, ours."""
    if isinstance(error, InstantiationException) and isinstance(
        error.__cause__, ValueError | TypeError | OSError
    ):
        return str(error.__cause__)
    lines = str(error).partition("Config search path:")[0].strip().splitlines()
    # Hydra's advice to append an unknown key with a plus leads into the next refusal.
    text = "\n".join(line for line in lines if not line.startswith("To append to your"))
    if isinstance(error, InterpolationKeyError):
        return f"{lines[0]} (in {error.full_key}): an option that was chosen belongs to another model"
    if lacking := LACKING.search(text):
        text = f"{lacking['axis']} is no axis of {axes_asked_for()}"
    return f"{text}\n{HINT}" if isinstance(error, HydraException) else text


def axes_asked_for() -> str:
    """The model on the command line, or the default one, with the axes that it pulls in."""
    asked = [word.partition("=")[2] for word in sys.argv[1:] if word.startswith("model=")]
    name = (asked or ["ddpm"])[-1]
    path = CONF / "model" / f"{name}.yaml"
    if not path.exists():  # a sweep over several
        return f"model={name}"
    groups = [next(iter(entry)) for entry in OmegaConf.load(path)["defaults"]]
    return f"model={name}, which has {', '.join(group.partition('@')[0][1:] for group in groups)}"


def register() -> None:
    """Teach OmegaConf the names of runs, which follow from the configuration."""
    OmegaConf.register_new_resolver("genbench.run_name", lambda *, _root_: run_dir(_root_).name, replace=True)
    OmegaConf.register_new_resolver("genbench.run_dir", lambda *, _root_: str(run_dir(_root_)), replace=True)


def run_dir(cfg: DictConfig) -> Path:
    """runs_dir/name/run, with a number behind it where rerun=true finds it taken."""
    if not NAME.fullmatch(str(cfg.name)):
        raise ValueError(f"name is {cfg.name!r}; it must be letters, digits, '.', '_', '-', not '.' first")
    try:
        Path(cfg.runs_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"runs_dir is {cfg.runs_dir}, which cannot be made ({error}): name another"
        ) from error
    path = Path(cfg.runs_dir) / cfg.name / run_name(cfg)
    return rerun_path(path) if cfg.rerun else path


def run_name(cfg: DictConfig) -> str:
    """The model, the data, the seed, and the identity of the rest."""
    choices = cfg.hydra.runtime.choices
    return f"{choices['model']}-{choices['data']}-seed{cfg.seed}-{identity(cfg)[:8]}"


def identity(cfg: DictConfig) -> str:
    """The hash of the resolved configuration (see genbench.identity), without Hydra's own.

    Taken before the facts of the data are filled in, which follow from the rest.
    """
    tree: Any = OmegaConf.to_container(without_hydra(cfg), resolve=True)
    return hashed(tree)


def without_hydra(cfg: DictConfig) -> DictConfig:
    """What the user composed."""
    return OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])


def run(cfg: DictConfig) -> None:
    """One run, from its configuration to its result; goes on where an earlier one of the same left off."""
    here = Run(Path(HydraConfig.get().runtime.output_dir))
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    try:
        stay(cfg, here, console)
    except (UsageError, Unmeasured, FloatingPointError) as error:
        # Hydra, which prints the overrides first, gets it only where other jobs are to follow.
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise
        leave(error)
    except Stopped:
        console.print("Stopped; the same command goes on from here.")
        sys.exit(EXIT_STOPPED)
    finally:
        discard_if_refused(here)
        if here.path.exists():
            console.print(str(here.path), soft_wrap=True, highlight=False)


def stay(cfg: DictConfig, here: Run, console: Console) -> None:
    """Show the result of a run that is finished, work on any other."""
    try:
        result = here.result() if here.status == "done" else None
        if result is None:
            session = open_session(cfg, here, console)
    except (ValueError, OSError, HydraException, OmegaConfBaseException) as error:
        raise UsageError(message(error)) from error
    if result is None:
        session.run()
        return
    from genbench.report import print_result

    console.print("This run is finished; rerun=true starts it afresh in a directory beside it.")
    print_result(result, console)


def open_session(cfg: DictConfig, here: Run, console: Console) -> "Session":
    """All that the user may have to mend: the configuration, the data, the checkpoint, another process."""
    who = identity(cfg)
    parts = build(cfg)
    from genbench.session import Session

    config = OmegaConf.to_container(cfg, resolve=True)
    chosen = {**choices(), "conditional": str(cfg.conditional).lower()}
    return Session(parts, here, who, config, chosen, console)


def choices() -> dict[str, str]:
    """The option chosen in each group: model -> ddpm, schedule -> cosine, .."""
    chosen = HydraConfig.get().runtime.choices
    return {
        group.partition("@")[0]: option
        for group, option in chosen.items()
        if option is not None and not group.startswith(("hydra", "tuned"))  # tuned follows from the others
    }


def discard_if_refused(here: Run) -> None:
    """Remove what Hydra wrote for a run that was refused before it began."""
    if (here.path / "run.json").exists():
        return
    shutil.rmtree(here.path / ".hydra", ignore_errors=True)
    for leftover in ("main.log", ".lock"):
        (here.path / leftover).unlink(missing_ok=True)
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
        tree: Any = OmegaConf.to_container(cfg, resolve=True)
        check_root(tree)
        check_axes(cfg)
        schema.check(tree["data"], "data")
        device = devices.choose(cfg.device)
        source = make(cfg.data)
        source.check()
        if cfg.conditional and source.num_classes == 0:
            raise ValueError(f"conditional=true needs labels, and {source.name} has none: take other data")
        OmegaConf.update(cfg, "image.shape", list(source.shape))
        OmegaConf.update(cfg, "image.num_classes", source.num_classes if cfg.conditional else 0)
        check_groups(cfg)
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
        check_optim(parts)
        try:
            parts.metrics.features.check(source)
        except MissingWeights as error:
            print(f"genbench: {error}; until then the run trains, but does not evaluate", file=sys.stderr)
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, OSError) as error:
        raise UsageError(message(error)) from error
    return parts


def check_optim(parts: "Parts") -> None:
    """An optimizer refuses its settings only when it is made. Raises ValueError."""
    try:
        parts.optim(parts.model.parameters())
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"optim: {error}") from error


def make(node: DictConfig) -> Any:  # noqa: ANN401
    """The object that a node of the configuration describes; the one place that instantiates."""
    return instantiate(node, _convert_="all")


def seeded_model(cfg: DictConfig) -> "Generator":
    """The model with its random start fixed by the seed."""
    import torch

    from genbench import rng

    if cfg.seed < 0:
        raise ValueError(f"seed is {cfg.seed}; it must be at least 0")
    with rng.fork(torch.device("cpu")):
        torch.manual_seed(rng.derive(cfg.seed, "weights"))
        return make(cfg.model)


def check_root(tree: dict[str, Any]) -> None:
    """Raise ValueError on a root key that is neither a group nor a known setting of its type."""
    for key, value in tree.items():
        if key in ROOT:
            schema.check_value(value, ROOT[key], key)
        elif key != "image" and not describes_objects(value):
            raise ValueError(f"{key} is unknown; beside the groups there are {', '.join(ROOT)}")


def check_axes(cfg: DictConfig) -> None:
    """Raise ValueError on an axis that nothing in the configuration refers to."""
    text = OmegaConf.to_yaml(without_hydra(cfg))
    for key in without_hydra(cfg):
        if OmegaConf.is_dict(cfg[key]) and key not in CORE and not re.search(rf"\$\{{{key}[}}.]", text):
            raise ValueError(f"{key} is no axis of {cfg.model._target_}: leave it out")


def describes_objects(value: object) -> bool:
    """Whether a node is one object's description, or holds several under names and nothing else."""
    if not isinstance(value, dict) or not value:
        return False
    return "_target_" in value or all(map(describes_objects, value.values()))


def check_groups(cfg: DictConfig) -> None:
    """Hold every value to the constructor that it goes to; the parts first, then what is made of them."""
    tree: Any = OmegaConf.to_container(cfg, resolve=True)
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
    check_groups(cfg)
    model = make(cfg.model).to(target)
    model.load_state_dict(checkpoint[names[weights]])
    make(cfg.precision).apply(model.networks(), target)
    return model.eval().requires_grad_(False)
