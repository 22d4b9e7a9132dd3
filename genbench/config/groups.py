"""Which axes a model has, as its YAML and those that it pulls in say."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

__all__ = ["CONF", "axes_asked_for", "axes_of"]

CONF = Path(__file__).resolve().parents[2] / "conf"


def axes_asked_for(overrides: Sequence[str]) -> str:
    """The model that overrides ask for, or the default one, with the axes that it pulls in."""
    asked = dict(word.split("=", 1) for word in overrides if re.match(r"\w+=", word))
    name = asked.get("model", "ddpm")
    axes = axes_of("model", name, asked)
    # What pulls in axes of its own is named too, since another option would pull in others.
    chosen = [f"{key}={asked[key]}" for key in axes if key in asked and axes_of(key, asked[key], asked)]
    if "metrics" in asked:
        chosen.append(f"metrics={asked['metrics']}")
        axes = [*axes, *axes_of("metrics", asked["metrics"], asked)]
    who = " ".join([f"model={name}", *chosen])
    return f"{who}, which has {', '.join(axes)}" if axes else who


def axes_of(group: str, option: str, asked: Mapping[str, str]) -> list[str]:
    """The groups that an option pulls in, and those that their chosen options pull in; none for a sweep."""
    path = CONF / group / f"{option}.yaml"
    entries = yaml.safe_load(path.read_text()).get("defaults", []) if path.exists() else []
    found = []
    for entry in entries:
        key, default = next(iter(entry.items())) if isinstance(entry, dict) else ("override", entry)
        # Overrides are of an axis that is there, plain names siblings; what is below /tuned nobody chooses.
        if not key.startswith(("override", "/tuned/")):
            axis = key.partition("@")[0][1:]
            found += [axis, *axes_of(axis, asked.get(axis, default), asked)]
    return found
