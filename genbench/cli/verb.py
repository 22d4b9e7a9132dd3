"""Verbs with many options as dataclasses that run themselves, and the context in which all verbs compute."""

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from genbench.runtime.context import Context

__all__ = ["RunsItself", "context_on"]


class RunsItself(TyperCommand):
    """Command of a dataclass with a method `run`: an option for each field, of its name, type and default.

    typer reads the signature of what it is given, here of the constructor; the options of a verb are then
    one object, which its methods share, instead of many arguments. Used as
    `@verbs.command("sample", cls=RunsItself)` above the dataclass, whose docstring is the help.
    """

    def invoke(self, ctx: typer.Context) -> Any:  # noqa: ANN401
        """Build the dataclass from the words of the command line, and run it."""
        return super().invoke(ctx).run()


def context_on(device: str, seed: int = 0) -> "Context":
    """Make the context of a verb's work on a device (auto, cpu or cuda), with progress bars on stderr.
    Raises ValueError on a device that is not there.
    """
    from genbench.runtime import device as devices
    from genbench.runtime.context import Context
    from genbench.runtime.progress import Progress, terminal

    return Context(devices.choose(device), seed, Progress(terminal(stderr=True)))
