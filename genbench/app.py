"""From a configuration to a result: the only module that knows Hydra.

config -> objects -> train -> evaluate -> result.json and a table.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException
from rich.console import Console

from genbench import schema
from genbench.axes import CONF, axes_asked_for
from genbench.errors import Unmeasured, UsageError
from genbench.identity import hashed
from genbench.run import Run, rerun_path
from genbench.stop import Stopped

if TYPE_CHECKING:
    from torch import nn

    from genbench.data import ImageSource
    from genbench.generator import Generator
    from genbench.metrics import Metrics
    from genbench.session import Parts, Session

__all__ = ["build", "classifier", "door", "identity", "load", "protocol", "register", "run"]

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
        text = f"{lacking['axis']} is no axis of {axes_asked_for(sys.argv[1:])}"
    return f"{text}\n{HINT}" if isinstance(error, HydraException) else text


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
        here.discard_unless_begun()
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


def build(cfg: DictConfig) -> "Parts":
    """The objects of a configuration, and the facts that hold between them; no image is read.

    Fills in `image`. Raises UsageError on whatever cannot be built.
    """
    from genbench import device as devices
    from genbench.metrics import MissingWeights
    from genbench.session import Parts

    try:
        tree: Any = OmegaConf.to_container(cfg, resolve=True)
        schema.check_root(tree)
        schema.check_axes(OmegaConf.to_container(without_hydra(cfg)))
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
        parts.check_optim()
        try:
            parts.metrics.features.check(source)
        except MissingWeights as error:
            print(f"genbench: {error}; until then the run trains, but does not evaluate", file=sys.stderr)
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

    if cfg.seed < 0:
        raise ValueError(f"seed is {cfg.seed}; it must be at least 0")
    with rng.fork(torch.device("cpu")):
        torch.manual_seed(rng.derive(cfg.seed, "weights"))
        return make(cfg.model)


def check_groups(cfg: DictConfig) -> None:
    """Hold every value to the constructor that it goes to; the parts first, then what is made of them."""
    tree: Any = OmegaConf.to_container(cfg, resolve=True)
    for key in sorted(tree, key=lambda name: name == "model"):
        schema.check(tree[key], key)


def load(
    run_dir: str | Path,
    *,
    device: str = "auto",
    weights: str = "ema",
    overrides: Mapping[str, object] | None = None,
) -> "Generator":
    """The trained model of a run, in evaluation mode; weights is "ema" or "raw".

    overrides: other ways of drawing: {"sampler": "ddim", "steps": 20}, {"guidance.scale": 3.0}.
    Raises FileNotFoundError where the run has no checkpoint yet, ValueError on a setting that is not there.
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
    try:
        cfg = drawing_as(overrides or {}, here, OmegaConf.create(record["config"]))
        check_groups(cfg)
        model = make(cfg.model).to(target)
    except (HydraException, OmegaConfBaseException, TypeError) as error:
        raise ValueError(message(error)) from error
    model.load_state_dict(checkpoint[names[weights]])
    make(cfg.precision).apply(model.networks(), target)
    return model.eval().requires_grad_(False)


def drawing_as(overrides: Mapping[str, object], here: Run, recorded: DictConfig) -> DictConfig:
    """The configuration of a run with other ways of drawing.

    Made of what Hydra composed, where references are not yet copies of what they refer to.
    """
    if not overrides:
        return recorded
    cfg = OmegaConf.load(here.path / ".hydra" / "config.yaml")
    cfg.image = recorded.image
    for key in sorted(overrides):  # a whole sampler before its settings
        change(cfg, key, overrides[key])
    return cfg


def change(cfg: DictConfig, key: str, value: object) -> None:
    """Change one setting of the sampling, or the whole sampler. Raises ValueError on any other."""
    if key == "sampler" and key in cfg:
        take_option(cfg, key, str(value))
        return
    tree = OmegaConf.to_container(cfg, resolve=True)
    key = schema.steps_key(tree) if key == "steps" else key
    schema.check_sampling(key, tree)
    node, _, leaf = key.rpartition(".")
    OmegaConf.select(cfg, node)[leaf] = value


def take_option(cfg: DictConfig, group: str, option: str) -> None:
    """Put an option of conf/ in the place of the one that is there, with the axes that it pulls in."""
    options = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    if option not in options:
        raise ValueError(f"{group} is {option!r}; it must be one of {', '.join(options)}")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed: Any = OmegaConf.to_container(compose(f"{group}/{option}"))
    for key, node in composed.items():
        cfg[key] = node


def classifier(run_dir: str) -> "nn.Module":
    """The noise-aware classifier that guides the model of a run (model=ddpm guidance=classifier), as it is.

    Raises ValueError where the run has none.
    """
    from genbench.diffusion.guidance import Classifier

    found = [m.classifier for m in load(run_dir, device="cpu").modules() if isinstance(m, Classifier)]
    if not found:
        raise ValueError(f"{run_dir} has no classifier: give a run of model=ddpm guidance=classifier")
    return found[0]


def protocol(run_dir: str | Path) -> "tuple[ImageSource, Metrics, int]":
    """The data, the metrics and the seed of a run: what its samples are measured by.

    Raises FileNotFoundError where there is no run.
    """
    record = Run(Path(run_dir)).record()
    if record is None:
        raise FileNotFoundError(f"{run_dir} holds no run: give the directory of one")
    cfg = OmegaConf.create(record["config"])
    return make(cfg.data), make(cfg.metrics), cfg.seed
