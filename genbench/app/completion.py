"""Completion of the words of `genbench train` in a shell, by what Hydra suggests for main.py."""

import re
from collections.abc import Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.bash_completion import BashCompletion
from hydra._internal.utils import create_config_search_path

from genbench.app.search_path import register_folders
from genbench.config.option_folders import CONF

__all__ = ["suggestions"]


def suggestions(words: Sequence[str], incomplete: str) -> list[str]:
    """Return what the last word of a command line may become: groups, options, keys, with what they extend.

    words: those before it; incomplete: what is typed of it. Bash hands over `schedule=co` as three words, and
    takes what follows the sign; other shells hand over and take the whole.
    """
    is_split = incomplete == "=" or words[-1:] == ["="]
    line = re.sub(r" = ?", "=", " ".join([*words, incomplete]))
    register_folders()
    loader = ConfigLoaderImpl(config_search_path=create_config_search_path(str(CONF)))
    found = BashCompletion(loader)._query("config", line)
    typed = f"{line.rpartition(' ')[2].partition('=')[0]}=" if is_split else ""
    return [word.removeprefix(typed) for word in found if "._target_" not in word]
