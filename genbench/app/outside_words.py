"""Answers to users who mean a classifier of their own for guidance, and type it otherwise than here."""

from collections.abc import Sequence
from difflib import get_close_matches

from genbench.app.words import parse_override

__all__ = ["asks_for_own", "of_outside_classifier", "typed_as_setting"]

NETWORKS = ("network", "net", "model", "noised")
FILES = ("weights", "file", "path", "checkpoint", "ckpt")
GROUPS = ("guidance_network", "guidance_net", "guidance_model", "guidance_classifier", "classifier_network")
FROM_OUTSIDE = ("outside", "external", "pretrained", "file", "own", "custom")
CLOSE = 0.75  # least similarity (difflib, 1 at most) of a name and the one that it may be misspelt of


def of_outside_classifier(key: str, value: str) -> str | None:
    """Return the message on a key that is meant to set a classifier from outside, such as guidance.network,
    guidance_network or a misspelling of them; None for any other key. value: as typed, which the advice takes
    over where it is a network's name or a file.
    """
    group, _, last = key.partition(".")
    is_setting = bool(last and get_close_matches(group, ["guidance"], cutoff=CLOSE))
    is_group = bool(get_close_matches(group, GROUPS, n=1, cutoff=0.85))
    named = get_close_matches(last, (*NETWORKS, *FILES), n=1, cutoff=CLOSE) if is_setting else []
    if not named and not is_group:
        return None
    is_network = (is_group and not last) or "network" in named
    network = value if is_network else "NAME"
    weights = value if named and named[0] in FILES else "PATH"
    return (
        f"there is no key {key} here; a classifier of yours guides by guidance=classifier_outside "
        f"guidance_network={network} guidance.weights={weights}"
    )


def typed_as_setting(words: Sequence[str]) -> str | None:
    """Return the message where overrides set guidance.network to a name: the network of
    guidance=classifier_outside is a group of its own. None where they do not.
    """
    for word in words:
        override = parse_override(word)
        if override is not None and override.key_or_group == "guidance.network":
            return of_outside_classifier("guidance.network", word.partition("=")[2])
    return None


def asks_for_own(option: str) -> bool:
    """Return True for a name, such as classifier_from_file, that may be meant for classifier_outside."""
    near = get_close_matches(option, ["classifier_outside"], cutoff=CLOSE)
    return bool(near) or any(part in option for part in FROM_OUTSIDE)
