"""Hydra's search path: genbench's own options, those of plug-ins, and those that the user names."""

from collections.abc import Iterator
from contextlib import contextmanager

from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from genbench.app.composing_memory import parsed_once
from genbench.config.option_folders import CONF, option_folders

__all__ = ["composing", "register_folders"]


class OptionFolders(SearchPathPlugin):
    """Plugin of Hydra that puts all folders of options on each search path, in their order around conf/."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the folders before conf/, whose options take the place of its own, and those behind it."""
        folders = option_folders()
        own = folders.index(CONF)
        for folder in folders[:own]:
            search_path.prepend("genbench", f"file://{folder}", SearchPathQuery(provider="main"))
        for folder in folders[own + 1 :]:
            search_path.append("genbench", f"file://{folder}")


def register_folders() -> None:
    """Let Hydra find the options of all folders from now on; a second call changes nothing."""
    Plugins.instance().register(OptionFolders)


@contextmanager
def composing() -> Iterator[None]:
    """Let Hydra's `compose` find the options of all folders in a `with` block, and parse each file once."""
    register_folders()
    with initialize_config_dir(str(CONF), version_base="1.3"), parsed_once():
        yield
