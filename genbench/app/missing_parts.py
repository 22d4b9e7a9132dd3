"""Groups and settings that a configuration lacks, and the options that would bring them."""

import re
from collections.abc import Sequence

from genbench.app.field_words import keys_of
from genbench.app.misfit import OF_ALL, composed, content, fits
from genbench.app.words import parse_override
from genbench.config.groups import accepted_groups, bringing, options

__all__ = ["bringing_group", "options_with"]


def bringing_group(group: str, words: Sequence[str]) -> list[str]:
    """Return the choices that make a model accept a group: autoencoder=kl_gan for perceptual.

    words: the overrides of a run, whose model does not accept the group. They are choices of the groups that
    it accepts, and fit it. Nothing is found where no option brings the group.
    """
    found = (choice.split("=") for choice in bringing(group, accepted_groups(words)[1]))
    return [f"{name}={option}" for name, option in found if can_take(name, option, words)]


def options_with(key: str, words: Sequence[str]) -> list[str]:
    """Return the options of a key's group that have it: ["patch"], of adversarial, for adversarial.weight.

    words: the overrides of a run, which lacks the key. Options that do not fit its model are left out.
    """
    group = key.partition(".")[0]
    found = [option for option in options(group) if key in keys_of({group: content(group, option)})]
    return [option for option in found if group in OF_ALL or can_take(group, option, words)]


def can_take(group: str, option: str, words: Sequence[str]) -> bool:
    """Return True where an option fits overrides, but those of its own group and of several values."""
    parsed = [(word, parse_override(word)) for word in words]
    single = [word for word, found in parsed if found and not found.is_sweep_override()]
    others = [word for word in single if re.split(r"[.=]", word.lstrip("+~"))[0] != group]
    return fits(composed(others), group, option, others)
