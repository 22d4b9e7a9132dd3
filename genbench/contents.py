"""Contents of a checkpoint, held to what its reader needs: keys, kinds, and the layout of weights."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from genbench.generator import Generator

__all__ = ["origin", "resumable", "weights"]

Check = Callable[[dict[str, Any]], None]
Shape = Sequence[int]

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
LATER = {"images_by_phases": dict, "fitting_seconds": float}  # which those of earlier versions lack


def origin(state: Mapping[str, Any]) -> None:
    """Raise ValueError unless a checkpoint says how many images were seen."""
    check_kinds(state, COUNT)


def weights(key: str, network: nn.Module) -> Check:
    """A check that raises ValueError unless the state dict under `key` is one of this network."""
    return partial(check_layout, key=key, expected=network.state_dict())


def resumable(model: Generator) -> Check:
    """A check that raises ValueError unless a training of `model` can go on from a checkpoint."""
    layout = model.state_dict()
    shapes = {phase: [p.shape for p in model.phase_parameters(phase)] for phase in model.phases}

    def check(state: dict[str, Any]) -> None:
        check_kinds(state, KINDS | {key: kind for key, kind in LATER.items() if key in state})
        check_kinds(state["tracker"], {"position": int})  # in metrics.jsonl, which all trackers write
        for key in ("model", "ema"):
            check_layout(state, key, layout)
        check_optimizers(state["optimizers"], shapes)
        if not all(isinstance(values, Tensor) and values.dim() == 1 for values in state["window"].values()):
            raise ValueError("its window holds something else than losses")

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
            f"the weights of its {key} are another network's: {count} entries differ, the first {name}, "
            f"{shape(found, name)} instead of {shape(expected, name)}"
        )


def shape(tensors: Mapping[str, Any], name: str) -> tuple[int, ...] | None:
    """The shape of a named tensor, None where there is no tensor of this name."""
    tensor = tensors.get(name)
    return tuple(tensor.shape) if isinstance(tensor, Tensor) else None


def check_optimizers(found: Mapping[str, Any], shapes: Mapping[str, Sequence[Shape]]) -> None:
    """Raise ValueError unless each phase has the state of an optimizer of parameters of these shapes.

    Tensors of other shapes would be written beyond their ends: torch's fast steps do not look.
    """
    for phase, expected in shapes.items():
        try:
            numbers = [number for group in found[phase]["param_groups"] for number in group["params"]]
            kept = [[*found[phase]["state"].get(number, {}).items()] for number in numbers]
        except (KeyError, TypeError, AttributeError):
            numbers = kept = []
        if len(numbers) != len(expected):
            raise ValueError(f"it has no optimizer for the {len(expected)} parameters of phase {phase!r}")
        for entries, size in zip(kept, expected, strict=True):
            for name, value in entries:
                if isinstance(value, Tensor) and not fits(value.shape, size):
                    raise ValueError(f"its optimizer has {name} of {tuple(value.shape)} for {tuple(size)}")


def fits(small: Shape, large: Shape) -> bool:
    """True where a tensor of the first shape broadcasts to the second."""
    aligned = zip(reversed(small), reversed(large), strict=False)
    return len(small) <= len(large) and all(a in (1, b) for a, b in aligned)
