"""Words of a verb's command line that its parser refuses, explained as every other refusal is."""

import re
from difflib import get_close_matches
from typing import Any

import typer
from typer.core import TyperGroup

from genbench.cli.option_words import option_meant

__all__ = ["ParserError", "Verbs", "explain_words", "help_page"]

ParserError: type[Exception] = typer.BadParameter.__mro__[2]
"""The class of all errors of typer's parser, of which it exports this grandchild alone."""
HELP = "`genbench VERB --help` says what it takes"
NUMBERS = {int: "a whole number", float: "a number"}


class Verbs(TyperGroup):
    """The group of all verbs, which says what they are where none of them, or no known one, is asked for."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 (typer keeps these private)
        """Return name, command and remaining words of a verb. Raises ValueError where there is none."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            near = like(args[0], self.commands)
            raise ValueError(f"{args[0]!r} is no verb: choose from {', '.join(self.commands)}{near}")
        return super().resolve_command(ctx, args)


def help_page(error: Any) -> str:  # noqa: ANN401
    """Return the help where the error is that no verb was given, and an empty text for all other errors."""
    return str(error.ctx.get_help()) if type(error).__name__ == "NoArgsIsHelpError" else ""


def explain_words(error: Any) -> str:  # noqa: ANN401 (its class is private to typer)
    """Return the message of an error of typer's parser: the word received, what is legal, and the remedy.
    error: a ParserError, with the command and, where it has one, the option or argument that it is about.
    """
    name = type(error).__name__
    param: Any = getattr(error, "param", None)
    if name == "BadOptionUsage":  # which knows no command
        takes_none = "not take" in error.message
        return f"{error.option_name} {'takes no value' if takes_none else 'needs a value behind it'}: {HELP}"
    if error.ctx is None:
        return error.format_message()
    verb = error.ctx.command_path
    # By name: typer exports none of these classes.
    match name:
        case "NoArgsIsHelpError":
            return f"{verb} needs a verb: choose from {', '.join(error.ctx.command.commands)}"
        case "NoSuchOption":
            known = options(error.ctx.command)
            meant = option_meant(error.option_name, known)
            near = f". Did you mean {meant}?" if meant else like(error.option_name, known)
            chosen = f"choose from {', '.join(known)}{near}"
            return f"{error.option_name} is not an option of {verb}; {chosen}"
        case "MissingParameter":
            return f"{verb} needs {called(param)}: {first_sentence(param.help)} `{verb} --help` lists all"
        case "BadParameter":
            return f"{called(param)} is {received(error)}; {legal(param)}"
    if extra := re.search(r"unexpected extra arguments? ?(?:\(s\) )?\((.*)\)", error.message, re.DOTALL):
        places = [called(p) for p in error.ctx.command.params if p.param_type_name == "argument"]
        taken = f"takes {' and '.join(places) or 'no arguments'}; "
        return f"{verb} {taken}there is no place for {extra[1]}: leave it out, or put quotes around spaces"
    return error.format_message()


def options(command: Any) -> list[str]:  # noqa: ANN401
    """Return the names of a command's options, in the order of its help."""
    return [p.opts[-1] for p in command.params if p.param_type_name == "option"] + ["--help"]


def called(param: Any) -> str:  # noqa: ANN401
    """Return the name of an option (--out) or an argument (RUN) as the help writes it."""
    return param.opts[-1] if param.param_type_name == "option" else (param.metavar or param.name.upper())


def received(error: Any) -> str:  # noqa: ANN401
    """Return the value that was refused, in quotes; typer's own words on it where they alone are known."""
    found: list[Any] = getattr(error.__cause__, "errors", list)()
    return repr(found[0]["input"]) if found else error.message


def legal(param: Any) -> str:  # noqa: ANN401
    """Return in words what an option or an argument takes: it must be a number .., or choose from names."""
    kind = param.type_descriptor
    if kind.choices is not None:
        return f"choose from {', '.join(str(choice.value) for choice in kind.choices)}"
    least, most = param.min, param.max
    word = NUMBERS.get(kind.annotation) or next(
        (word for number, word in NUMBERS.items() if number in getattr(kind.annotation, "__args__", ())),
        "a path or text",
    )
    if least is not None and most is not None:
        return f"it must be {word} from {least} to {most}"
    return f"it must be {word}" if least is None else f"it must be {word} of at least {least}"


def like(word: str, known: Any) -> str:  # noqa: ANN401
    """Return a question after the name nearest to a misspelt one; nothing where none is near."""
    near = get_close_matches(word, list(known), n=1)
    return f". Did you mean {near[0]}?" if near else ""


def first_sentence(text: str) -> str:
    """Return the first sentence of a help text."""
    return re.split(r"(?<=\.)\s", text)[0]
