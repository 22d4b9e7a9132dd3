"""Hook of mkdocs for the time in which pages of the navigation are still being written.

To be deleted, with its name in mkdocs.yml, once every page of the navigation is there: then each missing page
and each link to one ends a strict build.
"""

import logging
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave out of the navigation what is not there yet, and only then let links lead to nothing."""
    found = present(config.nav, Path(config.docs_dir))
    if found != config.nav:
        config.validation.links.not_found = logging.INFO
        config.nav = found
    return config


def present(nav: Any, docs: Path) -> Any:  # noqa: ANN401
    """Return the entries of a navigation whose pages exist."""
    if isinstance(nav, str):
        return nav if (docs / nav).is_file() else None
    if isinstance(nav, dict):
        kept = {title: present(inner, docs) for title, inner in nav.items()}
        return {title: inner for title, inner in kept.items() if inner} or None
    return [entry for entry in (present(entry, docs) for entry in nav) if entry]
