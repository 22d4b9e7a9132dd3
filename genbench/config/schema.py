"""Constructors are the schema of the configuration: values are held to their annotations first of all."""

import importlib
import inspect
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["check", "check_accepted", "check_root", "check_sampling", "check_value", "steps_key"]

TARGETS = ("genbench.", "torch.nn.", "torch.optim.", "torchmetrics.")  # torch.hub and torch.load run code

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
"""The nodes that every run has; all others are groups that a model refers to."""
INTERPOLATION = re.compile(r"\$\{(?:[\w.]+:)?(?P<root>\w+)")
"""An interpolation of OmegaConf, ${sampler.steps} or ${oc.dict.values:scores}; root: sampler, scores."""

ROOT = {
    "name": str,
    "seed": int,
    "conditional": bool,
    "device": str,
    "runs_dir": str,
    "rerun": bool,
    "retry_failed": bool,
    "dry_run": bool,
    "objective": str,
}
"""The keys of the configuration that belong to no group, and their types."""

STEPS = ("sampler.steps", "solver.steps", "process.steps")
SAMPLING = re.compile(
    r"(sampler|solver)(\.[^_.][^.]*)+|process\.steps|guidance\.(scale|interval)|variance\.samples|model\.temperature"
)
"""Settings that may be changed in a trained model, since they say how it draws; _target_ is none."""


def check(node: object, path: str) -> None:
    """Raise ValueError on a target outside the allowed packages, an unknown key, or a value of a wrong type.

    node is plain data (dicts, lists, scalars); path is its place in the configuration, for the message.
    """
    if isinstance(node, list):
        for index, child in enumerate(node):
            check(child, f"{path}[{index}]")
    if not isinstance(node, Mapping):
        return
    if "_target_" in node:
        check_call(node, path)
    for key, child in node.items():
        check(child, f"{path}.{key}".lstrip("."))


def check_call(node: Mapping[str, Any], path: str) -> None:
    """Hold the arguments of one target to its signature."""
    target = locate(str(node["_target_"]), path)
    hints = get_type_hints(target.__init__) if inspect.isclass(target) else inspect.get_annotations(target)
    legal = inspect.signature(target).parameters
    for key, value in node.items():
        if key.startswith("_"):
            continue
        if key not in legal:
            raise ValueError(f"{path}.{key} is unknown; {target.__name__} takes {', '.join(legal)}")
        if key in hints:
            check_value(value, hints[key], f"{path}.{key}")


def check_root(tree: Mapping[str, Any]) -> None:
    """Raise ValueError on a root key that is neither a group nor a known setting of its type.

    tree: the resolved configuration as plain data, without Hydra's part.
    """
    for key, value in tree.items():
        if key in ROOT:
            check_value(value, ROOT[key], key)
        elif key != "image" and not describes_objects(value):
            raise ValueError(f"{key} is unknown; beside the groups there are {', '.join(ROOT)}")


def check_accepted(tree: Mapping[str, Any]) -> None:
    """Raise ValueError on a group that nothing in an unresolved configuration refers to.

    Such a group, added by a plus on the command line, would be ignored: the model has no part for it.
    """
    referred = set(roots(tree))
    for key, node in tree.items():
        if isinstance(node, Mapping) and key not in CORE and key not in referred:
            raise ValueError(f"{tree['model']['_target_']} does not accept {key}: leave it out")


def roots(node: object) -> Iterator[str]:
    """Yield the first name of each interpolation below a node: schedule of ${schedule.T}."""
    if isinstance(node, str):
        yield from (found["root"] for found in INTERPOLATION.finditer(node))
    elif isinstance(node, Mapping | list):
        for child in node.values() if isinstance(node, Mapping) else node:
            yield from roots(child)


def describes_objects(value: object) -> bool:
    """Return True for a node that describes one object, or holds several under names and nothing else."""
    if not isinstance(value, Mapping) or not value:
        return False
    return "_target_" in value or all(map(describes_objects, value.values()))


def steps_key(keys: Iterable[str]) -> str:
    """Return which of a configuration's dotted keys holds the number of sampling steps.

    keys: all keys of the configuration. Where none of them does, the usual one, which is then refused by
    name.
    """
    there = set(keys)
    return next((key for key in STEPS if key in there), STEPS[0])


def check_sampling(key: str, keys: Iterable[str]) -> None:
    """Raise ValueError unless a key may be changed in a trained model.

    It must be one of the dotted keys of its configuration, and one of those that say how the model draws.
    """
    there = [name for name in keys if SAMPLING.fullmatch(name)]
    legal = there and f"choose from {', '.join(there)}"
    if key not in there:
        raise ValueError(f"{key} is not a setting of this model's sampling: {legal or 'it has none'}")


def check_value(value: object, hint: Any, path: str) -> None:  # noqa: ANN401
    """Raise ValueError unless a plain value fits the annotation of the argument that it goes to.

    path: the place of the value in the configuration, with which the message begins.
    """
    if not fits(value, hint):
        shown = value.get("_target_", value) if isinstance(value, Mapping) else value
        raise ValueError(f"{path} is {shown!r}; it must be {written(hint)}")


def locate(name: str, path: str) -> Any:  # noqa: ANN401
    """Import and return the class or function that a target names."""
    if not name.startswith(TARGETS):
        raise ValueError(f"{path}._target_ is {name!r}; it must start with one of {', '.join(TARGETS)}")
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{path}._target_ is {name!r}, which cannot be imported: {error}") from error


def fits(value: object, hint: Any) -> bool:  # noqa: ANN401
    """Return True where a plain value can be what an annotation says; objects fit by their description."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple and Ellipsis not in arguments:
        return isinstance(value, list) and len(value) == len(arguments) and all(map(fits, value, arguments))
    if origin in (tuple, list, Sequence):
        return isinstance(value, list) and all(fits(item, arguments[0]) for item in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint in (bool, str, int, type(None)):
        return type(value) is hint
    return isinstance(value, Mapping) and "_target_" in value and makes(value, hint)


def makes(node: Mapping[str, Any], hint: Any) -> bool:  # noqa: ANN401
    """Return True where a description makes an object of a class; a function is trusted to."""
    target = locate(str(node["_target_"]), "")
    return not (inspect.isclass(target) and inspect.isclass(hint)) or issubclass(target, hint)


def written(hint: Any) -> str:  # noqa: ANN401
    """Return an annotation in words: a number or null."""
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(written(argument) for argument in get_args(hint))
    if inspect.isclass(hint) and hint not in names:
        return f"described as a {hint.__name__}"
    return names.get(hint, str(hint).replace("collections.abc.", "").replace("typing.", ""))
