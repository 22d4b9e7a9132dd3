"""pytest runs the benchmarks only where their folder is named, and then one at a time."""

from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run in one process, since two would slow each other.

    pytest reads this file early enough only where the folder is named on the command line.
    """
    if config.pluginmanager.hasplugin("xdist"):
        config.option.numprocesses = 0


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the folder out unless it, or a file of it, is named on the command line."""
    asked = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    return None if any(path.resolve().is_relative_to(HERE) for path in asked) else True
