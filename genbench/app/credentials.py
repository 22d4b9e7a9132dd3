"""Keys and passwords on a command line, which runs record."""

import re
from collections.abc import Sequence

__all__ = ["check_credentials"]

SETS = re.compile(r"[+~]*hydra\.job\.env_set\b")
NAME = re.compile(r"\w*(?:KEY|TOKEN|SECRET|PASSW)\w*", re.IGNORECASE)


def check_credentials(words: Sequence[str]) -> None:
    """Raise ValueError where overrides would set a key or a password in the environment of jobs.

    A run keeps its command and what Hydra composed, so that who gets its directory would get the key too.
    """
    for word in filter(SETS.match, words):
        if found := NAME.search(word):
            raise ValueError(
                f"hydra.job.env_set would write {found[0]} into the run: leave it out, and set the "
                f"variable before the command (export {found[0]}=..), from where jobs inherit it"
            )
