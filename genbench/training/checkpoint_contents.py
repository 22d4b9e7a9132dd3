"""Contents of a checkpoint, compared with what its reader needs: keys, kinds of values, and the names and
shapes of weights. A file that somebody sent may hold anything.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genbench.generator import Generator
from genbench.training.best import check_best
from genbench.training.ema import learned_weights
from genbench.training.power_average import STDS
from genbench.training.target import check_target_checks

__all__ = ["best", "check_averages", "check_kinds", "is_dense", "origin", "resumable", "weights"]

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
LATER = {
    "images_by_phases": dict,
    "fitting_seconds": float,
    "joules": float,
    "skips": dict,
    "best": dict,
    "loss_scales": dict,
    "target_checks": dict,
    "snapshots": dict,
}  # which those of earlier versions lack
LETTERS = 80  # of the name of a tensor, in a message
AXES = 5  # of a tensor, in a message
SKIPS = {"total": int, "in_a_row": int, "large": int, "unmoved": dict}  # as genbench.training.nonfinite.Skips
SCALE = {"scale": float, "streak": int, "overflows": int}  # as genbench.training.loss_scale has them


def origin(state: Mapping[str, Any]) -> None:
    """Raise ValueError unless a checkpoint says how many images were seen, which is all that an evaluation of
    a trained model needs besides the weights.
    """
    check_kinds(state, COUNT)


def weights(key: str, network: nn.Module) -> Check:
    """Make a check that raises ValueError unless the state dict under `key`, "ema" or "model", has the names,
    shapes and dtypes of this network's, and finite parameters; the message names the first that differs.
    """
    return partial(check_weights, key=key, network=network)


def best(network: nn.Module) -> Check:
    """Make a check that raises ValueError unless a checkpoint has averaged weights of this network, the
    images seen, and the value by which validation chose it.
    """

    def check(state: dict[str, Any]) -> None:
        check_kinds(state, COUNT | {"best": dict})
        check_best(state["best"])
        check_weights(state, "ema", network)

    return check


def resumable(model: Generator, optim: Callable[[list[nn.Parameter]], Optimizer]) -> Check:
    """Make a check that raises ValueError unless a training of `model` by `optim` can be resumed from a
    checkpoint: its counts, both sets of weights, and the optimizer's state of each phase.
    """

    def check(state: dict[str, Any]) -> None:
        check_kinds(state, KINDS | {key: kind for key, kind in LATER.items() if key in state})
        check_kinds(state["tracker"], {"position": int})  # in metrics.jsonl, which all trackers write
        for key in ("model", "ema"):
            check_weights(state, key, model)
        expected = {phase: state_after_a_step(model.phase_parameters(phase), optim) for phase in model.phases}
        check_optimizers(state["optimizers"], expected)
        check_counts(state, [stage.phases for stage in model.stages] or [tuple(model.phases)])
        if "snapshots" in state:
            check_snapshots(state["snapshots"], learned_weights(model))
        window = state["window"]
        if not all(isinstance(name, str) and is_losses(window[name]) for name in window):
            raise ValueError("its loss averages hold something other than losses")

    return check


def is_losses(values: object) -> bool:
    """True for a tensor of one or more losses, (n,)."""
    if not isinstance(values, Tensor) or values.dim() != 1 or len(values) == 0:
        return False
    # One that is not contiguous may show a number as many times as no memory holds.
    return values.is_floating_point() and values.is_contiguous()


def check_counts(state: Mapping[str, Any], stages: Sequence[tuple[str, ...]]) -> None:
    """Raise ValueError unless skipped batches, scales of the loss, images by phases and the best validation,
    where they are there, are counts.

    stages: the phases of each stage of the model, which images may be counted by.
    """
    if (skips := state.get("skips")) is not None:
        check_skips(skips, stages)
    if "best" in state:  # of a training with validation images
        check_best(state["best"])
    if "target_checks" in state:  # of a training with budget.until
        check_target_checks(state["target_checks"])
    for phase, scale in state.get("loss_scales", {}).items():
        if not isinstance(scale, dict) or scale.keys() != SCALE.keys():
            raise ValueError(f"its loss_scales of {repr(phase)[:40]} have not {' and '.join(SCALE)}")
        check_kinds(scale, SCALE)
        if not scale["scale"] > 0:
            raise ValueError(f"its loss_scales of {repr(phase)[:40]} have a scale of {scale['scale']}")
    for phases, count in state.get("images_by_phases", {}).items():
        if phases not in stages:
            raise ValueError(f"its images_by_phases has no phases under {repr(phases)[:40]}")
        check_kinds({"images_by_phases": count}, {"images_by_phases": int})


def check_skips(skips: object, stages: Sequence[tuple[str, ...]]) -> None:
    """Raise ValueError unless these are counts of skipped batches, some of them by phases of these stages.
    Those of earlier versions lack two.
    """
    earlier: dict[str, Any] = {"large": 0, "unmoved": {}}
    whole = earlier | skips if isinstance(skips, dict) else {}
    if whole.keys() != SKIPS.keys():
        raise ValueError(f"its skips are no counts of {' and '.join(SKIPS)}")
    check_kinds(whole, SKIPS)
    if unknown := whole["unmoved"].keys() - {phase for phases in stages for phase in phases}:
        raise ValueError(f"its skips have no phase {repr(unknown.pop())[:40]}")
    for count in whole["unmoved"].values():
        check_kinds({"skips": count}, {"skips": int})


def check_kinds(state: Mapping[str, Any], kinds: Mapping[str, type[Any]]) -> None:
    """Raise ValueError where a key is missing, or its value of another kind, or a negative number."""
    for key, kind in kinds.items():
        if key not in state:
            raise ValueError(f"it has no {key}")
        value = state[key]
        is_number = kind in (int, float)
        # bool is a kind of int; a number below 0 counts nothing, and one beyond 2^63 is none that a run saw.
        is_sound = isinstance(value, kind) and (not is_number or (type(value) is kind and 0 <= value < 2**63))
        if not is_sound:
            shown = repr(value)[:40] if isinstance(value, int | float) else f"a {type(value).__name__}"
            raise ValueError(f"its {key} is {shown}, not the {kind.__name__} that a training writes")


def check_weights(state: Mapping[str, Any], key: str, network: nn.Module) -> None:
    """Raise ValueError unless state[key] holds tensors of the names, shapes and dtypes of a network's, all
    parameters of which are finite. Buffers need not be: schedules end at infinity.
    """
    expected = network.state_dict()
    # A model whose weights come from elsewhere stores something shorter than them.
    trained = [name for name, _ in network.named_parameters() if name in expected]
    check_tensors(state.get(key), expected, key, finite=trained)


def check_tensors(found: object, expected: Mapping[str, Tensor], key: str, *, finite: Sequence[str]) -> None:
    """Raise ValueError unless `found` maps names to dense tensors of the shapes and dtypes of `expected`, and
    those of the names `finite` hold finite numbers alone; key: where they stand in the file, for the message,
    which names the first that differs.
    """
    if not isinstance(found, Mapping):
        raise ValueError(f"it has no weights under {key}")
    differing = [name for name in [*expected, *found] if layout(found, name) != layout(expected, name)]
    if differing:
        name, count = differing[0], len(set(differing))
        raise ValueError(
            f"the weights of its {key} are another network's: {count} entries differ, the first "
            f"{str(name)[:LETTERS]}, {layout(found, name)} instead of {layout(expected, name)}"
        )
    broken = [name for name in finite if not bool(found[name].isfinite().all())]
    if broken:
        raise ValueError(f"the weights of its {key} are not finite, the first {broken[0]}")


def check_snapshots(found: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless what a checkpoint holds for trainer.ema_snapshots is what a training of these
    weights writes: the images seen at each snapshot, and the averages.
    """
    check_kinds(found, {"images_seen": int, "reached": int, "taken": list})
    for images in found["taken"]:
        check_kinds({"taken": images}, {"taken": int})
    check_averages(found.get("averages"), weights)


def check_averages(found: object, weights: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless the averages of a checkpoint, or of a snapshot, are finite tensors of the names
    and shapes of these weights, under each of the two standard deviations that are stored.
    """
    if not isinstance(found, Mapping) or found.keys() != {str(std) for std in STDS}:
        raise ValueError(f"it has no averages of {' and '.join(map(str, STDS))}")
    for std, average in found.items():
        check_tensors(average, weights, f"average of {std}", finite=list(weights))


def layout(tensors: Mapping[str, Any], name: str) -> str | None:
    """The shape and dtype of a named tensor, (8, 3) float32; None where there is no dense tensor of this
    name. No network has more than five axes; of a tensor with more, their number is written.
    """
    tensor = tensors.get(name)
    if not isinstance(tensor, Tensor) or not is_dense(tensor):
        return None
    shape = str(tuple(tensor.shape)) if tensor.dim() <= AXES else f"{tensor.dim()} axes"
    return f"{shape} {str(tensor.dtype).removeprefix('torch.')}"


def is_dense(tensor: Tensor) -> bool:
    """True for a tensor that has memory for numbers, False for a sparse one and one of the meta device."""
    return tensor.layout is torch.strided and not tensor.is_meta


def state_after_a_step(
    parameters: Sequence[nn.Parameter], optim: Callable[[list[nn.Parameter]], Optimizer]
) -> list[dict[str, Any]]:
    """The state that an optimizer keeps of each parameter, found by one step on zeros of its shape.

    Tensors are of the meta device, which have shapes and no memory.
    """
    found = []
    for parameter in parameters:
        twin = nn.Parameter(torch.zeros_like(parameter))
        twin.grad = torch.zeros_like(twin)
        optimizer = optim([twin])
        optimizer.step()
        state = optimizer.state[twin].items()
        found.append({key: value.to("meta") if isinstance(value, Tensor) else value for key, value in state})
    return found


def check_optimizers(found: Mapping[str, Any], layouts: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Raise ValueError unless each phase has the state of an optimizer that keeps `layouts` of its
    parameters.

    Tensors of other shapes would be written beyond their ends: torch's fast steps do not look. A parameter
    that had no gradient yet has no state.
    """
    for phase, expected in layouts.items():
        try:
            ((numbers, state),) = [(g["params"], found[phase]["state"]) for g in found[phase]["param_groups"]]
            is_sound = numbers == list(range(len(expected))) and state.keys() <= set(numbers)
        except (KeyError, TypeError, AttributeError, ValueError):
            is_sound = False
        if not is_sound:
            raise ValueError(f"it has no optimizer for the {len(expected)} parameters of phase {phase!r}")
        for number, entries in state.items():
            if entries:
                check_entries(entries, expected[number])


def check_entries(found: object, expected: Mapping[str, Any]) -> None:
    """Raise ValueError unless the state of one parameter has the names, kinds and shapes of `expected`."""
    if not isinstance(found, dict) or found.keys() != expected.keys():
        raise ValueError(f"its optimizer has other state than {', '.join(expected)}")
    for name, value in expected.items():
        if not isinstance(found[name], type(value)):
            raise ValueError(f"its optimizer has a {type(found[name]).__name__} as {name}")
        if not isinstance(value, Tensor):
            continue
        of = (tuple(value.shape), value.dtype)  # of the meta device, which `layout` takes for none
        if layout(found, name) is None or (tuple(found[name].shape), found[name].dtype) != of:
            raise ValueError(f"its optimizer has {name} of {layout(found, name)} for {of[0]} {of[1]}")
