"""The overrides that a run was composed of, as Hydra records them in .hydra/."""

from pathlib import Path

import yaml

from genbench.records.untrusted_files import YAML_BYTES, read_regular

__all__ = ["OVERRIDES", "read_overrides"]

OVERRIDES = Path(".hydra") / "overrides.yaml"


def read_overrides(run_dir: Path) -> list[str]:
    """Return the overrides of a run: KEY=VALUE texts, of which no object is made, as other people may have
    written them.

    Raises OSError where there is no such file, ValueError where it is not a list of overrides, or no regular
    file of the run.
    """
    path = run_dir / OVERRIDES
    content = read_regular(path, at_most=YAML_BYTES, inside=run_dir)
    try:
        # The base loader makes text, lists and dicts alone: 1e-3 stays the text that was typed.
        words = yaml.BaseLoader(content).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError):  # whose text is several lines of the parser's
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{path} is not a list of overrides: restore it")
    return words
