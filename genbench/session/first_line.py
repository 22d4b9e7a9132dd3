"""The line with which a run begins: model, data, parameters, device and precision, budget, directory."""

from pathlib import Path

from genbench.data import ImageData
from genbench.data.captions import of_sides
from genbench.metrics import parameter_count
from genbench.records.titles import UNCONDITIONAL, conditioning
from genbench.records.units import with_unit
from genbench.runtime.device import describe
from genbench.runtime.precision import Choice
from genbench.session.run_parts import Configuration, Parts
from genbench.training.budget import Budget
from genbench.training.snapshots import snapshot_note

__all__ = ["first_lines", "first_look", "mirrored_captions", "shown"]


def first_lines(
    parts: Parts,
    configuration: Configuration,
    data: ImageData,
    chosen: Choice,
    place: Path,
    *,
    processes: int,
) -> list[str]:
    """Name a run in one line: "ddpm on digits (1,438 images 1x8x8), 190,369 parameters, cpu fp32, 60,000
    images -> runs/default/ddpm-digits-seed0-1a2b3c4d"; in further ones the reason for its
    precision, and what snapshots take, where there are any.

    place: its directory, written as below the working directory where it lies there. processes: of the run. A
    job of a sweep, which other lines name, is indented, without the shape of its images and its directory.
    """
    model, device, in_sweep = parts.model, parts.device, configuration.in_sweep
    given = conditioning(configuration.choices, configuration.values)
    shape = "x".join(map(str, data.shape))
    classes = f", {model.num_classes} classes" if model.num_classes else ""
    classes += ", captions" if model.takes_text else ""
    aside = f", {len(data.validation):,} for validation" if data.validation is not None else ""
    images = "" if in_sweep else f" ({len(data.train):,} images {shape}{classes}{aside})"
    one = "cpu" if device.type == "cpu" else describe(device)
    where = one if processes == 1 else f"{processes} x {one}"
    facts = [f"{configuration.choices.get('model', 'model')} on {data.name}{images}"]
    facts += [] if given in (None, UNCONDITIONAL) else [given]
    facts.append(f"{parameter_count(model):,} parameters")
    facts += [f"{where} {chosen.taken.name}", *([in_words(parts.budget)] if model.phases else [])]
    line = ", ".join(facts)
    lines = [f"  {line}" if in_sweep else f"{line} -> {shown(place)}"]
    if parts.trainer.ema_snapshots:
        lines.append(snapshot_note(model, parts.trainer.ema_snapshots))
    lines += [f"Networks compute in {chosen.taken.name}: {chosen.reason}."] * bool(chosen.reason)
    return lines + (mirrored_captions(data) if model.takes_text and model.phases else [])


def mirrored_captions(data: ImageData) -> list[str]:
    """Return a remark where training images are mirrored at random, and their captions say left or right."""
    count, first = of_sides(data.train.captions or ()) if data.flip else (0, "")
    if not count:
        return []
    many = f"{count:,} captions say" if count > 1 else "a caption says"
    return [
        f"Images are mirrored at random, and {many} left or right, which is false of a mirrored image: "
        f'use data.flip=false. The first is "{in_short(first)}".'
    ]


def in_short(text: str) -> str:
    """Return the first 60 characters of a text."""
    return text if len(text) <= 60 else f"{text[:58]}.."


def first_look(seen: int | None, images: int) -> list[str]:
    """Return a line on a result whose training saw less than one epoch; nothing of any other result.
    seen: images that the training took, None or 0 where nothing was trained; images: of the training split.
    """
    if not seen or seen >= images:
        return []
    return [f"{seen:,} of {images:,} training images were seen once: a first look, no result."]


def in_words(budget: Budget) -> str:
    """Write the limits of a budget: "60,000 images", "600 s or 1.5 PFLOP", "600 s until fid 20"."""
    images = [] if budget.images is None else [f"{budget.images:,} images"]
    others = ((budget.seconds, "s"), (budget.flops, "FLOP"))
    until = "" if budget.until is None else f" until {budget.objective} {budget.until:g}"
    limits = [*images, *(with_unit(value, unit) for value, unit in others if value is not None)]
    return f"{' or '.join(limits)}{until}"


def shown(path: Path) -> Path:
    """Return a path relative to the working directory where it lies below it, else as it is."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
