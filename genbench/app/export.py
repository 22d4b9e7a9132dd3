"""Writing a trained model as a folder of its own: weights, configuration, model card and a grid."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.app.exported import ABOUT, FORMAT, WEIGHTS, is_exported, load_exported
from genbench.app.load_run import load
from genbench.app.recorded_config import configuration
from genbench.config.schema import walk
from genbench.records.files import atomic_file, write_json_atomic
from genbench.records.foreign_models import is_hub_name
from genbench.records.result import Result
from genbench.records.run_directory import Run
from genbench.report.formats.model_card import model_card

if TYPE_CHECKING:
    from torch import Tensor

    from genbench.generator import Generator
    from genbench.runtime.context import Context

__all__ = ["export"]

CARD, GRID, ANIMATION = "README.md", "samples.png", "animation.webp"
NODES = (
    *("model", "precision", "image", "data", "budget", "optim", "lr_schedule", "trainer", "metrics"),
    *("seed", "conditional"),
)
"""Nodes of a run's configuration that are exported; the others say where it ran and how it was logged."""
PLACES = ("root", "weights", "run_dir", "path")
"""Keys whose values are paths of the machine that the model was trained on: they are exported as null."""
IMAGES = 64  # of the grid
CLASSIFIER = "genbench.diffusion.guidance.Classifier"


def export(
    run_dir: Path, out: Path, *, weights: str = "ema", license_name: str | None = None, context: "Context"
) -> None:
    """Write the trained model of a run into a folder that needs neither the run nor genbench's defaults.

    weights: "ema", "best" or "raw". license_name: for the card, as the Hub writes it. context: for the grid.
    Written are model.safetensors, genbench.json (the resolved configuration, without paths of this machine),
    README.md (the model card), samples.png and, of a model that draws step by step, animation.webp. Raises
    what `load` raises, and ValueError where the model takes a part of another run that cannot be written
    along.
    """
    from genbench.evaluation.animation import FRAMES, animation_of, sample_count, save_animation
    from genbench.evaluation.draw import drawn, samples, save_drawn
    from genbench.evaluation.prompts import asked, in_turn
    from genbench.generator import Trajectory

    if is_exported(run_dir):
        raise ValueError(f"{run_dir} is an exported model already: copy the folder, or give the run")
    model = load(run_dir, device=str(context.device), weights=weights)
    if not model.phases:
        raise ValueError(
            f"{run_dir} has no weights of its own: copy the folder of its pipeline, which model.path names"
        )
    record = Run(run_dir).record() or {}
    config = inlined(configuration(record, run_dir))
    nodes = {key: config[key] for key in NODES if key in config}
    check_frozen(model, nodes)
    result = Run(run_dir).finished_result() or Result(config=config)
    about = {
        "format": FORMAT,
        "weights": weights,
        "precision": record.get("precision"),
        "config": without_places(nodes),
        **{key: record.get(key) for key in ("identity", "versions", "git")},
        "result": {"choices": dict(result.choices), "metrics": dict(result.metrics)},
    }
    out.mkdir(parents=True, exist_ok=True)
    write_tensors(model.state_dict(), out / WEIGHTS)
    write_json_atomic(out / ABOUT, about)
    drawing, prompts = samples(model), shown_prompts(run_dir) if model.takes_text else []
    given = asked(model, IMAGES, prompts=prompts, device=context.device)
    parts = drawn(drawing, IMAGES, given.y, batch_size=IMAGES, context=context)
    save_drawn(drawing.given, next(batch for _, batch in parts), given, out / GRID)
    if is_animated := isinstance(model, Trajectory):
        n = sample_count(model.shape)
        few = in_turn(model, n, prompts, context.device)
        save_animation(animation_of(model, n, few.y, frames=FRAMES, context=context), out / ANIMATION)
    card = model_card(
        result,
        weights=weights,
        made=made_by(record),
        license_name=license_name,
        prompts=prompts,
        is_animated=is_animated,
    )
    with atomic_file(out / CARD) as file:
        file.write(card.encode())
    load_exported(out, device="cpu")  # or the user would find later that it cannot be loaded


def shown_prompts(run_dir: Path) -> list[str]:
    """Return the prompts of a model's grid: the captions of the run's own, a power of two of them, so that
    each has equally many of the 64 images; no text where the run has drawn none yet.
    """
    from genbench.evaluation.prompts import PROMPTS
    from genbench.records.texts import read_prompts

    path = run_dir / "samples" / PROMPTS
    found = read_prompts(path, inside=run_dir, key="samples/prompts.txt") if path.is_file() else [""]
    return found[: max(each for each in (1, 2, 4, 8) if each <= len(found))]


def inlined(node: Any) -> Any:  # noqa: ANN401
    """Return plain data in which parts of other runs, models and classifiers, are described by the
    configurations of these runs. Their weights are among those of the model that they are a part of.
    """
    if not isinstance(node, Mapping):
        return node
    if node.get("_target_") not in ("genbench.app.load", "genbench.app.classifier"):
        return {key: inlined(child) for key, child in node.items()}
    folder = Path(str(node["run_dir"]))
    model = inlined(configuration(Run(folder).record() or {}, folder)["model"])
    if node["_target_"] == "genbench.app.load":
        return model
    return next(
        child["classifier"]
        for _, child in walk(model)
        if isinstance(child, Mapping) and child.get("_target_") == CLASSIFIER
    )


def check_frozen(model: "Generator", nodes: Mapping[str, Any]) -> None:
    """Raise ValueError where a model has frozen weights in a folder of this machine, which are not exported;
    those that a name on the Hub leads to are found from elsewhere too.
    """
    from genbench.runtime.frozen_weights import FrozenWeights

    folders = [leaf for place, leaf in walk(nodes) if place[-1:] == ("path",) and not is_hub_name(str(leaf))]
    for part in model.modules():
        if isinstance(part, FrozenWeights) and folders:
            raise ValueError(
                f"the {part.origin} are in {folders[0]}, and an export does not hold them: copy the run and "
                "that folder, or train with USER/NAME of the Hub as the path"
            )


def without_places(node: Any) -> Any:  # noqa: ANN401
    """Return plain data without the paths in it, which say more about a machine than about a model."""
    if not isinstance(node, Mapping):
        return node
    return {key: None if is_place(key, child) else without_places(child) for key, child in node.items()}


def is_place(key: str, value: object) -> bool:
    """Return True for the key and the value of a path of this machine, False for a name on the Hub."""
    return key in PLACES and isinstance(value, str) and not (key == "path" and is_hub_name(value))


def made_by(record: Mapping[str, Any]) -> str:
    """Return the versions and the commit that a run records, as text for the model card."""
    versions, git = record.get("versions") or {}, record.get("git") or {}
    commit = f", commit {str(git['commit'])[:12]}" if git.get("commit") else ""
    return f"genbench {versions.get('genbench', 'unknown')}{commit}, torch {versions.get('torch', 'unknown')}"


def write_tensors(state: Mapping[str, "Tensor"], path: Path) -> None:
    """Write tensors as a safetensors file, from the CPU; those that share memory are written as copies."""
    from safetensors.torch import save

    content = save({name: value.detach().cpu().clone().contiguous() for name, value in state.items()})
    with atomic_file(path) as file:
        file.write(content)
