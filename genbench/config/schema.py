"""Constructors are the schema of the configuration: values are checked against their annotations."""

import inspect
import math
import re
import types
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from genbench.config.option_folders import import_target, legal_targets

__all__ = [
    "CORE",
    "GUIDANCE",
    "ROOT",
    "SAMPLERS",
    "STEPS",
    "Place",
    "UnfitError",
    "check",
    "check_root",
    "dotted",
    "sampling_key",
    "sampling_keys",
    "walk",
]

Place = tuple[str | int, ...]
"""The keys, and indices of lists, that lead to a node of the configuration."""

CORE = {
    *("image", "data", "model", "budget", "optim", "lr_schedule"),
    *("trainer", "precision", "metrics", "tracker"),
}
"""The nodes that every run has; all others are groups that a model refers to."""
INTERPOLATION = re.compile(r"\$\{(?:[\w.]+:)?(?P<root>\w+)")
"""An interpolation of OmegaConf, ${sampler.steps} or ${oc.dict.values:scores}; root: sampler, scores."""

LARGEST = 2**63 - 1
"""The largest whole number that a tensor holds."""
PART = re.compile(r"\$\{(?P<root>\w+)\.(?P<part>\w+)\}")
"""An interpolation of a node or value inside of a group: ${network.encoder}."""

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

SAMPLERS = ("sampler", "unmasking")
"""Groups of samplers, of which a model has one at most; --sampler chooses from that one."""
GUIDANCE = ("guidance.scale", "model.guidance")
STEPS = ("sampler.steps", "solver.steps", "unmasking.steps", "process.steps", "model.steps")
SAMPLING = re.compile(
    r"(sampler|solver|unmasking)(\.[^_.][^.]*)+|process\.steps|guidance\.(scale|interval)|variance\.samples|dequantization\.denoise|model\.(temperature|steps|guidance|condition\.augmentation)"
)
"""Settings that may be changed in a trained model, since they say how it draws; _target_ is none."""


class UnfitError(ValueError):
    """Error of a configuration with a key or a part that a class does not take, or that nothing refers to."""


def walk(node: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:  # noqa: ANN401
    """Yield each node of plain data (dicts, lists, scalars) with its place, the outer before the inner ones.
    place: that of `node` itself, with which all others begin.
    """
    yield place, node
    inner = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, child in inner:
        yield from walk(child, (*place, key))


def dotted(place: Place) -> str:
    """Return a place as command lines write it: metrics.scores[0] of ("metrics", "scores", 0)."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).lstrip(".")


def check(node: object, path: str) -> None:
    """Raise ValueError on a target outside the allowed packages, an unknown key, or a value of a wrong type.
    node is plain data; path is its place in the configuration, for the message.
    """
    for place, child in walk(node, (path,)):
        if isinstance(child, Mapping) and "_target_" in child:
            check_call(child, dotted(place))


def check_call(node: Mapping[str, Any], path: str) -> None:
    """Raise ValueError on an argument that a target does not take, or on a value of a wrong type."""
    target = locate(str(node["_target_"]), path)
    hints = get_type_hints(target.__init__) if inspect.isclass(target) else inspect.get_annotations(target)
    legal = inspect.signature(target).parameters
    for key, value in node.items():
        if key in ("_target_", "_partial_"):
            continue
        if key not in legal:
            raise UnfitError(f"{path}.{key} is unknown; {target.__name__} takes {', '.join(legal)}")
        if key in hints:
            check_value(value, hints[key], f"{path}.{key}")


def check_root(tree: Mapping[str, Any], unresolved: Mapping[str, Any]) -> None:
    """Raise ValueError on a root key that is neither a group nor a known setting of its type, and on a group
    that nothing refers to: added by a plus on the command line, it would be ignored.

    tree: the resolved configuration as plain data, without Hydra's part; unresolved: with its references.
    """
    leaves = [leaf for _, leaf in walk(unresolved) if isinstance(leaf, str)]
    for leaf in leaves:
        check_part(leaf, tree)
    for place, leaf in walk(tree):
        if isinstance(leaf, str) and "${" in leaf:  # a record of it could not be read back
            raise ValueError(f"{dotted(place)} is {leaf!r}; text cannot contain ${{: remove it")
    referred = {found["root"] for leaf in leaves for found in INTERPOLATION.finditer(leaf)}
    for key, value in tree.items():
        if key in ROOT:
            check_value(value, ROOT[key], key)
        elif key != "image" and not describes_objects(value):
            raise ValueError(f"{key} is unknown; beside the groups there are {', '.join(ROOT)}")
        elif key not in CORE | referred:
            raise UnfitError(f"{tree['model']['_target_']} does not accept {key}: leave it out")


def check_part(leaf: str, tree: Mapping[str, Any]) -> None:
    """Raise UnfitError where a value refers to a part of an object, as ${network.encoder} may: both would be
    built, and share nothing. tree: the resolved configuration.
    """
    if (found := PART.fullmatch(leaf)) is None:
        return
    whole = tree[found["root"]]
    if "_target_" in whole and isinstance(whole.get(found["part"]), Mapping):
        raise UnfitError(f"{found['root']} is {whole['_target_']!r}, a single object; several are needed")


def describes_objects(value: object) -> bool:
    """Return True for a node that describes one object, or holds several under names and nothing else."""
    if not isinstance(value, Mapping) or not value:
        return False
    return "_target_" in value or all(map(describes_objects, value.values()))


def sampling_key(key: str, keys: Collection[str]) -> str:
    """Return the dotted key of a setting that may be changed in a trained model, since it says how it draws.
    keys: those of the model's configuration, of which "steps" means the number of sampling steps.
    Raises ValueError with the legal ones where `key` is none of them.
    """
    if key == "steps":
        key = next((name for name in STEPS if name in keys), STEPS[0])
    there = sampling_keys(keys)
    if key not in there:
        legal = f"choose from {', '.join(there)}" if there else "it has none"
        fixed = key == GUIDANCE[0] and "process.scale" in keys
        why = "; its guidance is fixed by the training (process.scale)" if fixed else ""
        raise ValueError(f"{key} is not a setting of this model's sampling: {legal}{why}")
    return key


def sampling_keys(keys: Iterable[str]) -> list[str]:
    """Return those keys of a model's configuration that say how it draws, in their order."""
    return [name for name in keys if SAMPLING.fullmatch(name)]


def check_value(value: object, hint: Any, path: str) -> None:  # noqa: ANN401
    """Raise ValueError unless a plain value fits the annotation of the argument that it goes to.
    path: the place of the value in the configuration, with which the message begins.
    """
    if not fits(value, hint):
        if isinstance(value, Mapping):
            raise UnfitError(f"{path} is {value.get('_target_', value)!r}; it must be {written(hint)}")
        shown = value if isinstance(value, int | float) else ".."
        quote = f": quote what is text, {path}=\"'{shown}'\"" if fits("a", hint) else ""
        raise ValueError(f"{path} is {as_typed(value)}; it must be {written(hint)}{limit(value)}{quote}")
    if isinstance(value, str) and not value.strip():
        raise ValueError(f"{path} is {value!r}; it must be {written(hint)}, and not be empty")


def locate(name: str, path: str) -> Any:  # noqa: ANN401
    """Import and return the class or function that a target names."""
    if not name.startswith(legal := legal_targets()):
        raise ValueError(f"{path}._target_ is {name!r}; it must start with one of {', '.join(legal)}")
    try:
        return import_target(name)
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
    if hint in (int, float) and type(value) is int:
        return abs(value) <= LARGEST
    if origin is Mapping:
        return isinstance(value, Mapping) and all(fits(item, arguments[1]) for item in value.values())
    if hint is float:
        return type(value) is float and math.isfinite(value)
    if hint in (bool, str, int, type(None)):
        return type(value) is hint
    return isinstance(value, Mapping) and "_target_" in value and makes(value, hint)


def makes(node: Mapping[str, Any], hint: Any) -> bool:  # noqa: ANN401
    """Return True where a description makes an object of a class, or of a function for it where arguments are
    left open (_partial_); a function that makes objects is trusted to.
    """
    target, is_open = locate(str(node["_target_"]), ""), bool(node.get("_partial_"))
    if not inspect.isclass(hint):
        return is_open or not inspect.isclass(target)
    if is_open or not inspect.isclass(target):
        return not is_open
    # A network that has a contract of its own, such as a VAE's, is none that takes (x, t, y).
    has_contract = hint.__module__.startswith("torch.") and any(map(inspect.isabstract, target.__mro__))
    return issubclass(target, hint) and not has_contract


def limit(value: object) -> str:
    """Return what a number breaks that is of the right type, for the end of a message: it is not finite, or
    larger than any whole number of a tensor.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return ", not nan or infinite"
    return ", below 2^63" if isinstance(value, int) and abs(value) > LARGEST else ""


def as_typed(value: object) -> str:
    """Return a value as a command line writes it: null and true, where Python has None and True."""
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else repr(value)


def written(hint: Any) -> str:  # noqa: ANN401
    """Return an annotation in words: a number or null, a list of whole numbers, one of 'a', 'b'."""
    names = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        # torch takes some numbers as a tensor too, which no configuration holds.
        return " or ".join(written(each) for each in arguments if getattr(each, "__name__", "") != "Tensor")
    if origin is Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    if origin in (tuple, list, Sequence):
        count = len(arguments) if origin is tuple and Ellipsis not in arguments else None
        many = names.get(arguments[0], "object") + "s"
        return f"a list of {many}" if count is None else f"a list of {count} {many}"
    if inspect.isclass(hint) and hint not in (*names, type(None)):
        return f"described as a {hint.__name__}"
    article = "a " if hint in (int, float) else ""
    return "null" if hint is type(None) else article + names.get(hint, str(hint))
