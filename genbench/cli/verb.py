"""Verbs with many options: a dataclass whose fields are the options, and which runs itself."""

from typing import Any

import typer
from typer.core import TyperCommand

__all__ = ["RunsItself"]


class RunsItself(TyperCommand):
    """Command of a dataclass with a method `run`: an option for each field, of its name, type and default.

    typer reads the signature of what it is given, here of the constructor; the options of a verb are then
    one object, which its methods share, instead of many arguments. Used as
    `@verbs.command("sample", cls=RunsItself)` above the dataclass, whose docstring is the help.
    """

    def invoke(self, ctx: typer.Context) -> Any:  # noqa: ANN401
        """Build the dataclass from the words of the command line, and run it."""
        return super().invoke(ctx).run()
