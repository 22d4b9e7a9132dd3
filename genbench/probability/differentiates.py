"""Parts of models that take gradients while samples are drawn, and models that are known to have none."""

from collections import OrderedDict
from collections.abc import Iterable
from types import FunctionType, MethodType

from torch import Tensor, nn

__all__ = ["Differentiates", "is_without_gradients"]

KNOWN = {"builtins", "collections", "genbench", "torch"}
"""Packages whose classes and functions take no gradients while samples are drawn, unless they are marked."""
PLAIN = {bool, int, float, str, type(None), Tensor, nn.Parameter}
"""Types of values in which nothing more is looked for."""
BOXES = {dict, list, OrderedDict, set, tuple}
"""Types of values in which something is looked for unless they are empty."""


class Differentiates:
    """A mark of modules that take gradients while samples are drawn, such as a guiding classifier, by
    torch.enable_grad. A model that holds one is sampled outside of torch's inference mode.
    """


def is_without_gradients(model: nn.Module) -> bool:
    """Return True where no part of a model is marked as `Differentiates`, nor is of a class, or a function,
    from outside of genbench and torch, which may take gradients or cache tensors for the training.

    Parts are what modules and objects of genbench have as attributes, hooks of modules among them, and the
    items of lists, tuples, sets and dicts, however deep; not what a function has enclosed.
    """
    return all(map(is_known, kinds_of(model)))


def kinds_of(model: nn.Module) -> set[type | FunctionType]:
    """Collect the types of a model and of its parts, and those parts that are types or functions."""
    left, seen, found = list[object]([model]), set[int](), set[type | FunctionType]()
    while left:
        part = left.pop()
        if id(part) not in seen:
            seen.add(id(part))
            found.add(part if isinstance(part, type | FunctionType) else type(part))
            # Most attributes of a module are plain or empty, and are passed over here for speed.
            left += [v for v in inside(part) if (kind := type(v)) not in PLAIN and (kind not in BOXES or v)]
    return found


def inside(part: object) -> Iterable[object]:
    """Return what a part consists of; empty for objects of torch other than modules, and for functions."""
    if isinstance(part, nn.Module):
        return vars(part).values()
    if isinstance(part, dict):
        return part.values()
    if isinstance(part, list | tuple | set):
        return part
    if isinstance(part, MethodType):
        return part.__func__, part.__self__
    is_own = not isinstance(part, type | FunctionType) and type(part).__module__.startswith("genbench.")
    return vars(part).values() if is_own else ()


def is_known(kind: type | FunctionType) -> bool:
    """Return True for a type or a function of a known package that is not marked."""
    if isinstance(kind, type) and issubclass(kind, Differentiates):
        return False
    return str(kind.__module__).partition(".")[0] in KNOWN
