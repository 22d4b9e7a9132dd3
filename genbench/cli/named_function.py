"""Functions that a command line names, MODULE:FUNCTION, imported from Python's path or the current folder."""

import re
import sys
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["import_function", "is_function"]

FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_function(target: Path) -> bool:
    """Return True for what names a function, and no file of this name is there."""
    return FUNCTION.fullmatch(str(target)) is not None and not target.exists()


def import_function(target: str) -> Callable[..., Any]:
    """Import the function that MODULE:FUNCTION names, which runs the module. Raises ValueError where there is
    no such module or function, Failure where the module raises an error.
    """
    from genbench.evaluation.image_function import failure

    module, _, name = target.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # at the end, so that no file there takes the place of an installed module
    try:
        imported = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):  # missed by the module itself
            raise failure(f"importing {module} raised", error) from error
        without = f"; without .py, as {module[:-3]}:{name}" if module.endswith(".py") else ""
        raise ValueError(
            f"{target} names the module {module}, which is neither on Python's path nor in {here}{without}"
        ) from None
    except (Exception, SystemExit) as error:
        raise failure(f"importing {module} raised", error) from error
    found = getattr(imported, name, None)
    if not callable(found):
        known = [each for each, value in vars(imported).items() if callable(value) and each[0] != "_"]
        near = get_close_matches(name, known, n=1) or known[:1]
        raise ValueError(
            f"{module} has no function {name!r} (n, seed) that returns images"
            + (f": did you mean {module}:{near[0]}?" if near else ": define one")
        )
    return found
