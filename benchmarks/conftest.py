"""The benchmarks run where their folder is named, one at a time, and in no other call of pytest."""

from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Take one process, since two would slow each other. (This file is read in time only if it is named.)"""
    if config.pluginmanager.hasplugin("xdist"):
        config.option.numprocesses = 0


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the folder out unless it, or a file of it, is asked for."""
    asked = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    return None if any(path.resolve().is_relative_to(HERE) for path in asked) else True
