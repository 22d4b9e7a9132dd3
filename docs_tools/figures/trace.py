"""Calls of a model's modules while it works: what goes in, what comes out, and how often."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor, nn

__all__ = ["Block", "Call", "blocks", "collapsed", "recorded"]

MOST_BLOCKS = 13
UNOPENED = ("Block", "WithAttention", "Layer", "Norm", "NormConv", "Condition", "sample")
"""Endings of the names of classes that a figure shows as one block, whatever they are made of."""


class Call(NamedTuple):
    """One forward pass of a module, with the tensors that it took and returned, in their order."""

    name: str
    """The path of the module in the model, such as network.down.0."""
    module: nn.Module
    takes: tuple[Tensor, ...]
    gives: tuple[Tensor, ...]


class Block(NamedTuple):
    """A module that a figure shows as a box: its path and class, its parameters, the shape of its output.

    times: how often it, or a group of blocks that begins with it, follows itself.
    """

    name: str
    kind: str
    parameters: int
    shape: tuple[int, ...]
    times: int = 1


@contextmanager
def recorded(model: nn.Module) -> Iterator[list[Call]]:
    """Context in which each forward pass of each module, when it ends, is appended to the list it gives."""
    calls = list[Call]()
    names = {module: name for name, module in model.named_modules()}

    def record(module: nn.Module, takes: object, named: dict[str, object], gives: object) -> None:
        calls.append(Call(names[module], module, tensors((takes, *named.values())), tensors(gives)))

    hooks = [module.register_forward_hook(record, with_kwargs=True) for module in names]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def tensors(value: object) -> tuple[Tensor, ...]:
    """Return the tensors in a value, or in a tuple or list of values, in their order and detached."""
    if isinstance(value, Tensor):
        return (value.detach().clone(),)
    parts = value if isinstance(value, tuple | list) else ()
    return tuple(found for part in parts for found in tensors(part))


def blocks(network: nn.Module, calls: Sequence[Call]) -> list[Block]:
    """Return the parts of a network in the order of their calls, at most about a dozen of them.

    The part with most parameters is replaced by its own parts as long as there are few; blocks that follow
    themselves are counted. calls: those of a forward pass of a model that the network is in.
    """
    first = {call.module: call for call in reversed(calls)}
    parts = opened(network, first)
    while largest := max((part for part in parts if opens(part)), key=parameters, default=None):
        inner = opened(largest, first)
        place = parts.index(largest)
        longer = [*parts[:place], *inner, *parts[place + 1 :]]
        if not inner or len(collapsed(shown(longer, first))) > MOST_BLOCKS:
            break
        parts = longer
    return collapsed(shown(sorted(parts, key=[call.module for call in calls].index), first))


def opens(module: nn.Module) -> bool:
    """Return True for a module whose parts a figure may show in its place."""
    named = type(module).__name__
    return any(True for _ in module.children()) and not named.endswith(UNOPENED)


def opened(module: nn.Module, first: dict[nn.Module, Call]) -> list[nn.Module]:
    """Return the parts of a module that were called; lists of modules count as their items."""
    found = list[nn.Module]()
    for child in module.children():
        found += [child] if child in first else opened(child, first)
    return found


def parameters(module: nn.Module) -> int:
    """Count the parameters of a module, those of its parts included."""
    return sum(p.numel() for p in module.parameters())


def shown(parts: Sequence[nn.Module], first: dict[nn.Module, Call]) -> list[Block]:
    """Describe modules by their first calls; those without parameters that change no shape are left out."""
    found = list[Block]()
    for part in parts:
        call, own = first[part], parameters(part)
        shape = tuple(call.gives[0].shape)
        if own or shape != tuple(call.takes[0].shape):
            found.append(Block(call.name, type(part).__name__, own, shape))
    return found


def collapsed(found: Sequence[Block]) -> list[Block]:
    """Write the longest repetition of up to four blocks, alike, once with its count."""

    def alike(block: Block) -> tuple[str, str, tuple[int, ...]]:
        return block.name.rpartition(".")[0], block.kind, block.shape

    best = (0, 0, 1, 1)  # blocks saved, place, period, count
    for place in range(len(found)):
        for period in range(1, 5):
            count, pattern = 1, list(map(alike, found[place : place + period]))
            while list(map(alike, found[place + count * period : place + (count + 1) * period])) == pattern:
                count += 1
            best = max(best, ((count - 1) * period, place, period, count), key=lambda one: one[0])
    saved, place, period, count = best
    if saved < 2:
        return list(found)
    group = []
    for k, block in enumerate(found[place : place + period]):
        each = found[place + k : place + count * period : period]
        group.append(block._replace(times=count, parameters=sum(one.parameters for one in each)))
    return [*found[:place], *group, *found[place + count * period :]]
