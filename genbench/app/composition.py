"""What Hydra wrote into the directory of a run: its composition and its overrides, read back."""

from io import BytesIO
from pathlib import Path

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genbench.untrusted import YAML_BYTES, read_regular

__all__ = ["composition"]

UNREADABLE = (ValueError, AttributeError, OSError, RecursionError, yaml.YAMLError, OmegaConfBaseException)
"""Exceptions of OmegaConf and of its reader on YAML that is none, or none of theirs."""


def composition(run: Path, name: str) -> DictConfig | ListConfig:
    """The content of .hydra/NAME.yaml of a run.

    Raises ValueError on what is no YAML of Hydra's, FileNotFoundError where there is no such file.
    """
    path = run / ".hydra" / f"{name}.yaml"
    content = read_regular(path, at_most=YAML_BYTES, inside=run)
    try:
        # Hydra writes no aliases. Ten lines of them can stand for more nodes than memory holds.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(content, yaml.BaseLoader)):
            raise ValueError("it holds aliases")
        return OmegaConf.load(BytesIO(content))
    except (
        ValueError,
        AttributeError,
        OSError,
        RecursionError,
        yaml.YAMLError,
        OmegaConfBaseException,
    ) as error:
        raise ValueError(f"{path} is no file of Hydra's ({error}): restore it") from error
