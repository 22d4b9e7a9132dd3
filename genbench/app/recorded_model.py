"""Models from the configurations that runs and exports record, with other settings of the sampling."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hydra import compose
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genbench.app.build import make
from genbench.app.messages import explain_error
from genbench.app.recorded_config import buildable, referring
from genbench.app.run_names import resolved
from genbench.app.search_path import composing
from genbench.config import schema
from genbench.config.groups import options
from genbench.records.flatten import flatten
from genbench.runtime.downloads import downloads

if TYPE_CHECKING:
    from genbench.generator import Generator
    from genbench.runtime.precision import Precision

__all__ = ["built_as"]


def built_as(overrides: Mapping[str, object], config: dict[str, Any]) -> "tuple[Generator, Precision]":
    """Build the model and the precision of a run's configuration, with other settings of the sampling.
    Raises ValueError where the configuration, or a setting, cannot be used.
    """
    try:
        if overrides:
            cfg = OmegaConf.create(referring(config, config))
            changed = set[str]()
            for key in sorted(overrides):  # a whole sampler before its settings
                name = change(cfg, key, overrides[key])
                if name in changed:
                    raise ValueError(f"{name} is given twice, also as {key}: give it once")
                changed.add(name)
            config = resolved(cfg)
        cfg = buildable(config, ("model", "precision"))
        with downloads(allowed=False):
            return make(cfg.model), make(cfg.precision)
    except (HydraException, OmegaConfBaseException, TypeError, RecursionError) as error:
        raise ValueError(explain_error(error)) from error


def change(cfg: DictConfig, key: str, value: object) -> str:
    """Change one setting of the sampling, or the whole sampler, and return its key in full, sampler.steps of
    "steps". Raises ValueError on any other.
    """
    group = next((name for name in schema.SAMPLERS if name in cfg), None)
    if group is not None and key in schema.SAMPLERS:
        take_option(cfg, group, str(value))
        return group
    name = schema.sampling_key(key, flatten(resolved(cfg)))
    node, _, leaf = name.rpartition(".")
    OmegaConf.select(cfg, node)[leaf] = value
    return name


def take_option(cfg: DictConfig, group: str, option: str) -> None:
    """Put an option of conf/ in the place of the one that is there, with the groups that it pulls in."""
    if option not in options(group):
        raise ValueError(f"{option} is not an option of {group}: choose from {', '.join(options(group))}")
    # Composed by Hydra, since an option may be made of others; its references lead into `cfg` afterwards.
    with composing():
        composed: Any = OmegaConf.to_container(compose(f"{group}/{option}"))
    for key, node in composed.items():
        cfg[key] = node
