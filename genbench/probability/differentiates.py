"""Parts of models that take gradients while samples are drawn, and models that are known to have none."""

from torch import nn

__all__ = ["Differentiates", "is_without_gradients"]

KNOWN = {"builtins", "collections", "genbench", "torch"}
"""Packages whose classes take no gradients while samples are drawn, unless they are marked."""


class Differentiates:
    """A mark of modules that take gradients while samples are drawn, such as a guiding classifier, by
    torch.enable_grad. A model that holds one is sampled outside of torch's inference mode.
    """


def is_without_gradients(model: nn.Module) -> bool:
    """Return True where no module in a model, nor an attribute of one, is marked as `Differentiates`, or of a
    class from outside of genbench and torch, which may take gradients or cache tensors for the training.
    """
    modules = list(model.modules())
    types = set(map(type, modules)).union(*(map(type, vars(module).values()) for module in modules))
    packages = {each.__module__.partition(".")[0] for each in types}
    return packages <= KNOWN and not any(issubclass(each, Differentiates) for each in types)
