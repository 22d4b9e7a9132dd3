"""From the name of a family, as `genbench check-family` gets it, to models that can be checked."""

import inspect
import re
import sys
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml
from hydra import compose
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genbench.app.build import check_groups, make, seeded_model
from genbench.app.messages import explain_error
from genbench.app.search_path import composing
from genbench.config.groups import option_file, options
from genbench.config.option_folders import (
    OWN_OPTIONS,
    import_target,
    plugins,
    read_option,
    use_folder,
    user_folder,
)

if TYPE_CHECKING:
    from genbench.contract import Candidate
    from genbench.generator import Generator

__all__ = ["Found", "Images", "find_family"]

KNOWN = (HydraException, OmegaConfBaseException, ValueError, TypeError, OSError)
"""Errors that `explain_error` puts in words."""
CLASS_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


class Images(NamedTuple):
    """Images that a family is checked on: shape (C, H, W), and the number of classes, 0 for no labels."""

    shape: tuple[int, int, int]
    classes: int


class Found(NamedTuple):
    """A family that can be built. way: how it is, in words; candidates: by the heading of their column;
    refused: the reason why it is not built with labels, or without, by the same headings."""

    way: str
    candidates: "dict[str, Candidate]"
    refused: dict[str, str]


def find_family(words: Sequence[str], images: Images, *, batchwise: bool) -> Found:
    """Find a family and build its models, unconditional and conditional, as far as it has both.

    words: `module.Class` or `model=NAME`, then overrides. A class with an option conf/model/NAME.yaml, among
    them those in the package of the class, is built as that option says; any other by its constructor alone.
    Raises ValueError where there is no such family, or where it can be built in neither way.
    """
    from genbench.contract import Candidate

    name, *overrides = words
    option = model_option(name)
    words = overrides if option is None else [f"model={option}", *overrides]
    built, refused = dict[str, Candidate](), dict[str, str]()
    for heading, classes in (("no labels", 0), (f"{images.classes} classes", images.classes)):
        asked = Images(images.shape, classes)
        if option is None:
            build = partial(model_of_class, name, overrides, asked)
        else:
            build = partial(model_of_option, words, asked)
        candidate = Candidate(build, batchwise=batchwise)
        try:
            if candidate.built.num_classes == classes:  # a family that takes no labels is not checked twice
                built["texts" if candidate.built.takes_text else heading] = candidate
        except KNOWN as error:
            refused[heading] = explain_error(error, words)
        except Exception as error:  # of the author's module, as it is imported
            refused[heading] = f"{type(error).__name__}: {error}"
    if not built:
        reasons = "; ".join(dict.fromkeys(refused.values())) or "it has another number of classes than asked"
        remedy = f"; {OWN_OPTIONS}" if option is None else ""
        raise ValueError(f"{name} cannot be built: {reasons}{remedy}")
    return Found("by its constructor alone" if option is None else " ".join(words), built, refused)


def model_option(name: str) -> str | None:
    """Return the option that `model=NAME` names or that builds a class, None of a class that none builds.
    Raises ValueError on a name of neither form.
    """
    if name.startswith("model="):
        return name.removeprefix("model=")
    if not CLASS_PATH.fullmatch(name):
        raise ValueError(f"the family is {name!r}; it must be module.Class, or model=NAME of an option")
    use_package(name)
    for option in options("model"):
        path = option_file("model", option)
        if path is not None and read_option(path).get("_target_") == name:
            return option
    return None


def use_package(name: str) -> None:
    """Add the options of the package that a class is in, as --config-dir does, if they are not there yet.
    Modules are also looked for in the current folder. A folder that the user named takes precedence.
    """
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # at the end, so that no file there takes the place of an installed module
    spec = find_spec(name.partition(".")[0])
    if spec is None or spec.name == "genbench" or user_folder():
        return
    there = [each.folder.resolve() for each in plugins()]
    for place in spec.submodule_search_locations or ():
        folder = Path(place, "conf")
        if folder.is_dir() and folder.resolve() not in there:
            use_folder(folder)


def model_of_option(overrides: Sequence[str], images: Images) -> "Generator":
    """Build the model of an option of conf/model, of images of a shape and a number of classes."""
    with composing():
        cfg = compose("config", overrides=[*overrides, f"conditional={str(images.classes > 0).lower()}"])
    OmegaConf.update(cfg, "image.shape", list(images.shape))
    OmegaConf.update(cfg, "image.num_classes", images.classes)
    check_groups(cfg)
    return seeded_model(cfg)


def model_of_class(name: str, overrides: Sequence[str], images: Images) -> "Generator":
    """Build a class that no option names, from overrides of its arguments: model.KEY=VALUE."""
    from genbench.generator import Generator

    try:
        family = import_target(name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"it cannot be imported ({error}); give a class of an installed package or of one in the current "
            "folder, or an option by model=NAME"
        ) from error
    if not (inspect.isclass(family) and issubclass(family, Generator)):
        raise ValueError("it is no family, which must be a subclass of genbench.generator.Generator")
    node: dict[str, object] = {"_target_": name, "shape": list(images.shape)}
    legal = inspect.signature(family).parameters
    if "num_classes" in legal:
        node["num_classes"] = images.classes
    for word in overrides:
        key, equals, value = word.partition("=")
        if not equals or not key.startswith("model."):
            raise ValueError(f"{word} must be model.KEY=VALUE, an argument of {name}, which no option builds")
        if (argument := key.removeprefix("model.")) not in legal:
            raise ValueError(f"{key} is unknown; {name} takes {', '.join(legal)}")
        node[argument] = yaml.safe_load(value)
    return make(OmegaConf.create(node))
