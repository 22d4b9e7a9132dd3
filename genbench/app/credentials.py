"""Keys and passwords on a command line, which runs record."""

import re
from collections.abc import Iterator, Sequence

__all__ = ["check_credentials"]

SETS = re.compile(r"[+~]*hydra\.job\.env_set(?:\.(?P<name>\w+))?\s*=(?P<value>.*)", re.DOTALL)
KEY = re.compile(r"[{,]\s*['\"]?(\w+)['\"]?\s*:")
"""A key of a mapping in Hydra's grammar: {NAME: value, OTHER: value}."""
SECRET = {
    *("KEY", "KEYS", "APIKEY", "TOKEN", "TOKENS", "SECRET", "SECRETS", "AUTH"),
    *("PASS", "PASSWD", "PASSWORD", "PASSWORDS", "CREDENTIAL", "CREDENTIALS"),
}
"""Segments in the names of variables that hold a secret, such as in HF_TOKEN."""


def check_credentials(words: Sequence[str]) -> None:
    """Raise ValueError where overrides would set a key or a password in the environment of jobs.

    A run keeps its command and what Hydra composed, so that who gets its directory would get the key too.
    """
    for name in (name for word in words for name in variables(word)):
        if SECRET & set(name.upper().split("_")):
            raise ValueError(
                f"hydra.job.env_set would write {name} into the run: leave it out, and set the "
                f"variable before the command (export {name}=..), from where jobs inherit it"
            )


def variables(word: str) -> Iterator[str]:
    """Yield the names of the variables that an override sets for jobs, without their values."""
    if found := SETS.match(word):
        yield from KEY.findall(found["value"]) if found["name"] is None else [found["name"]]
