"""Contents of a checkpoint, held to what its reader needs: keys, kinds, and the layout of weights."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from genbench.generator import Generator

__all__ = ["origin", "resumable", "weights"]

Check = Callable[[dict[str, Any]], None]

COUNT = {"images_seen": int}
KINDS = COUNT | {
    "step": int,
    "seconds": float,
    "finished": bool,
    "data_key": str,
    "window": dict,
    "tracker": dict,
    "model": dict,
    "ema": dict,
    "optimizers": dict,
}
"""Key of a checkpoint that a training goes on from -> kind of its value."""


def origin(state: Mapping[str, Any]) -> None:
    """Raise ValueError unless a checkpoint says how many images were seen."""
    check_kinds(state, COUNT)


def weights(key: str, network: nn.Module) -> Check:
    """A check that raises ValueError unless the state dict under `key` is one of this network."""
    return partial(check_layout, key=key, expected=network.state_dict())


def resumable(model: Generator) -> Check:
    """A check that raises ValueError unless a training of `model` can go on from a checkpoint."""
    layout = model.state_dict()
    sizes = {phase: len(list(model.phase_parameters(phase))) for phase in model.phases}

    def check(state: dict[str, Any]) -> None:
        check_kinds(state, KINDS)
        for key in ("model", "ema"):
            check_layout(state, key, layout)
        check_optimizers(state["optimizers"], sizes)

    return check


def check_kinds(state: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    """Raise ValueError where a key is missing, or its value of another kind, or a negative number."""
    for key, kind in kinds.items():
        if key not in state:
            raise ValueError(f"it has no {key}")
        value = state[key]
        is_number = kind in (int, float)
        is_sound = isinstance(value, kind) and (not is_number or (type(value) is kind and value >= 0))
        if not is_sound:
            shown = repr(value)[:40] if isinstance(value, int | float) else f"a {type(value).__name__}"
            raise ValueError(f"its {key} is {shown}, not the {kind.__name__} that a training writes")


def check_layout(state: Mapping[str, Any], key: str, expected: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless state[key] holds tensors of the names and shapes of `expected`."""
    found = state.get(key)
    if not isinstance(found, Mapping):
        raise ValueError(f"it has no weights under {key}")
    differing = [name for name in [*expected, *found] if shape(found, name) != shape(expected, name)]
    if differing:
        name, count = differing[0], len(set(differing))
        raise ValueError(
            f"its {key} is of another model: {count} entries differ, the first {name}, "
            f"{shape(found, name)} instead of {shape(expected, name)}"
        )


def shape(tensors: Mapping[str, Any], name: str) -> tuple[int, ...] | None:
    """The shape of a named tensor, None where there is no tensor of this name."""
    tensor = tensors.get(name)
    return tuple(tensor.shape) if isinstance(tensor, Tensor) else None


def check_optimizers(found: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
    """Raise ValueError unless there is the state of an optimizer of so many parameters for each phase."""
    for phase, size in sizes.items():
        groups = found[phase].get("param_groups") if isinstance(found.get(phase), Mapping) else None
        try:
            count = sum(len(group["params"]) for group in groups or ())
        except (KeyError, TypeError):
            count = None
        if count != size:
            raise ValueError(f"it has no state of an optimizer for the {size} parameters of phase {phase!r}")
