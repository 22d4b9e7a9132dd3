"""From a configuration to objects."""

from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genbench.app.messages import explain_error, refusing
from genbench.app.run_names import resolved, without_hydra
from genbench.config import schema
from genbench.config.groups import option_file, options
from genbench.runtime.downloads import downloads
from genbench.runtime.memory import is_out_of_memory
from genbench.runtime.printable import complain

if TYPE_CHECKING:
    from torch import Tensor

    from genbench.generator import Generator
    from genbench.session.run_parts import Parts

__all__ = ["build", "check_groups", "fixed_schedules", "make", "seeded_model"]


def build(cfg: DictConfig, *, job: int = 0, local: int = 0, each: int | None = None) -> "Parts":
    """Build the objects of a configuration, and check the facts that hold between them; no image is read.

    job: its number in a sweep, which decides the device. local: the number of this process among the `each`
    processes of the run on this machine. Fills in `image` of the configuration. Raises UsageError.
    """
    from genbench.metrics import MissingWeights
    from genbench.runtime import device as devices
    from genbench.runtime.compile import check_compiler
    from genbench.session.run_parts import Parts, no_optimizer
    from genbench.training.lr_schedule import Constant

    with refusing():
        # Keys first, then the data, whose shape the values of all other groups refer to.
        tree = resolved(cfg)
        schema.check_root(tree, OmegaConf.to_container(without_hydra(cfg)))
        schema.check(tree["data"], "data")
        each = tree["trainer"].get("devices", 1) if each is None else each
        device = devices.choose(cfg.device, job=job * each + local, together=each)
        source = make(cfg.data)
        source.check()
        if cfg.conditional and source.num_classes == 0:
            raise ValueError(f"conditional=true needs labels, and {source.name} has none: take other data")
        OmegaConf.update(cfg, "image.shape", list(source.shape))
        OmegaConf.update(cfg, "image.num_classes", source.num_classes if cfg.conditional else 0)
        check_groups(cfg)
        with downloads(allowed=True):  # of what the user's own command names
            model = seeded_model(cfg)
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
        )
        # What no constructor can check alone, since it is a fact of two objects.
        parts.model.check_trainable()
        parts.check_budget()
        parts.check_optim()
        if parts.trainer.compile:
            check_compiler(device)
        try:
            parts.metrics.check_source(source)
        except MissingWeights as error:
            if parts.trainer.evaluate_every_images is not None:
                raise
            # A training takes longer than to fetch the weights, after which the same command evaluates.
            complain(f"{error}; until then the run trains, but does not evaluate")
    return parts


def make(node: DictConfig) -> Any:  # noqa: ANN401
    """Build the object that a node of the configuration describes; no other function instantiates.
    Raises ValueError, TypeError or OSError wrapped by Hydra, as `explain_error` reads them; a lack of memory
    as it is, since Hydra would wrap it as a fault of the configuration.
    """
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        if error.__cause__ is not None and is_out_of_memory(error.__cause__):
            raise error.__cause__ from None
        raise


def seeded_model(cfg: DictConfig) -> "Generator":
    """Build the model of a configuration on the CPU, with initial weights that follow from `seed` alone.
    Random numbers outside are not touched. Raises ValueError on a negative seed, and on what `make` refuses.
    """
    import torch

    from genbench.runtime import rng

    if cfg.seed < 0:
        raise ValueError(f"seed is {cfg.seed}; it must be at least 0")
    with rng.fork(torch.device("cpu")):
        torch.manual_seed(rng.derive(cfg.seed, "weights"))
        return make(cfg.model)


def check_groups(cfg: DictConfig) -> None:
    """Check every value of a composed configuration against the constructor that it goes to.
    Parts are checked before the model that is made of them, so that the message names the part at fault.
    Raises ValueError with the key, the value and what is legal.
    """
    tree = resolved(cfg)
    for key in sorted(tree, key=lambda name: name == "model"):
        schema.check(tree[key], key)


def fixed_schedules(T: int) -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """Build every option of `schedule`, also of plug-ins and of --config-dir, for a grid of T steps.
    Returns option -> alpha_bar on the grid, (T + 1,) float64, and option -> the reason why no grid of T steps
    has it. Schedules that are learned are in neither.
    """
    from genbench.diffusion.schedule import Schedule

    tables, refused = dict[str, "Tensor"](), dict[str, str]()
    for name in options("schedule"):
        path = option_file("schedule", name)
        assert path is not None
        try:
            schedule = make(OmegaConf.merge(OmegaConf.load(path), {"T": T}))
        except (HydraException, OmegaConfBaseException) as error:
            refused[name] = explain_error(error)
            continue
        if not isinstance(schedule, Schedule):
            refused[name] = f"{path} describes no schedule: its _target_ must be a class of schedules"
            continue
        if not any(True for _ in schedule.parameters()):
            tables[name] = schedule.table
    return tables, refused
