"""Wrong words of the console script's command line: one message, with the value, and what is legal.

typer would print its usage and a box of several lines.
"""

from typing import Any

import typer

__all__ = ["UsageMistake", "explain_mistake"]

UsageMistake: type[Exception] = typer.BadParameter.__mro__[1]
"""The error of every wrong word of a command line, of which typer exports this subclass alone."""

LEGAL = {
    "greater_than_equal": "it must be at least {ge}",
    "less_than_equal": "it must be at most {le}",
    "int_parsing": "it must be a whole number",
    "int_parsing_size": "it must be a whole number of fewer digits",
    "int_from_float": "it must be a whole number",
    "float_parsing": "it must be a number",
}
"""Kinds of wrong values, as typer's pydantic names them -> what is legal, with the limits."""


def explain_mistake(error: Any) -> str:  # noqa: ANN401 (of a class that typer does not export)
    """Return the message of a wrong word: the value that was given, what is legal, and the command that shows
    more. error: a UsageMistake.
    """
    context = error.ctx
    verbs = getattr(context and context.command, "commands", {})
    choice = f" Choose from {', '.join(verbs)}." if verbs and "command" in str(error.format_message()) else ""
    path = "genbench" if context is None else context.command_path
    text = wrong_value(error) or str(error.format_message())
    ended = text.rstrip(". ") + ("" if text.endswith("?") else ".")
    return f"{ended}{choice} `{path} --help` shows what is legal."


def wrong_value(error: Any) -> str | None:  # noqa: ANN401 (of a class that typer does not export)
    """Return the message of a value that its option does not take, such as "--n is '0'; it must be at least
    1"; None for any other mistake, of which the text says enough.
    """
    cause = error.__cause__
    if not hasattr(cause, "errors") or not cause.errors():
        return None
    found = cause.errors()[0]
    legal = LEGAL.get(found["type"], found["msg"]).format(**found.get("ctx", {}))
    option = max(error.param.opts, key=len)
    given = repr(found["input"])
    return f"{option} is {given}; {legal.replace(f'Value error, {given} is not one of', 'choose from')}"
