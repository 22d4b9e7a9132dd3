"""Completion of the words of `genbench train` in a shell, by what Hydra suggests for main.py."""

import re
from collections.abc import Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.bash_completion import BashCompletion
from hydra._internal.utils import create_config_search_path
from hydra.errors import HydraException

from genbench.app.search_path import register_folders
from genbench.config.option_folders import CONF

__all__ = ["suggestions"]


def suggestions(words: Sequence[str], incomplete: str) -> list[str]:
    """Return what the last word of a command line may become: groups, options, keys, with what they extend.

    words: those before it; incomplete: what is typed of it. Bash hands over `schedule=co` as three words, and
    takes what follows the sign; other shells hand over and take the whole.
    """
    last = words[-1] if words else ""
    is_split = last == "=" or (bool(last) and "=" not in last)  # with the sign last, typer hands over ""
    line = re.sub(r" = ?", "=", " ".join([*words, incomplete]))
    if is_split and last != "=":
        line = f"{' '.join(words)}="
    typed = f"{line.rpartition(' ')[2].partition('=')[0]}=" if is_split else ""
    register_folders()
    loader = ConfigLoaderImpl(config_search_path=create_config_search_path(str(CONF)))
    try:
        found = BashCompletion(loader)._query("config", line)
    except HydraException:  # words before the last one cannot be read
        return []
    return [word.removeprefix(typed) for word in found if "._target_" not in word]
