"""Verbs for authors of plug-ins: one writes a small working plug-in, one checks a family."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.output import NewFolder, check_new, say
from genbench.cli.verb import ConfigDir, examples, warnings_in_lines
from genbench.runtime.disk import whole_folder

if TYPE_CHECKING:
    from genbench.contract import Candidate, Rule

__all__ = ["verbs"]

verbs = typer.Typer()


Shape = Annotated[
    tuple[int, int, int],
    typer.Option(metavar="C H W", help="Channels, height and width of the images."),
]
"""The images that a family is checked on."""


class Member(StrEnum):
    """Kinds of plug-ins that can be written, by the name of each."""

    family = "family"
    schedule = "schedule"
    data = "data"
    score = "score"


@verbs.command(epilog=examples(["genbench new family NAME --out DIR"]))
def new(
    kind: Annotated[Member, typer.Argument(metavar="KIND", help="family, schedule, data or score.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the package and of the option.")],
    out: NewFolder,
) -> None:
    """Write a small working plug-in, with tests, to start from.

    It is a Python package with one option: model=NAME for a family, else schedule=NAME, data=NAME, or
    scores=[NAME]. The commands that install, try and test it are printed.
    """
    check_new(out)
    from genbench.scaffold import plan, write

    made = plan(kind, name)
    with whole_folder(out):
        write(made, out)
    say(f"{out}: {', '.join(made.files)}\n")
    say("\n".join(f"{f'{what}:':<20}{command}" for what, command in made.commands(out).items()))


@verbs.command(epilog=examples(["genbench check-family model=ddpm --shape 3 16 16 network.width=16"]))
def check_family(
    family: Annotated[
        list[str],
        typer.Argument(
            metavar="FAMILY [KEY=VALUE]...",
            help="An option, model=NAME, or a class, MODULE.CLASS; then overrides, such as network.width=16.",
        ),
    ],
    shape: Shape = (1, 8, 8),
    classes: Annotated[
        int, typer.Option(min=2, metavar="N", help="Number of classes of conditional models.")
    ] = 10,
    batchwise: Annotated[
        bool,
        typer.Option(
            "--batchwise",
            help="The loss of an image depends on the others of its batch by design: skip those rules.",
        ),
    ] = False,
    config_dir: ConfigDir = None,
) -> None:
    """Check a family of models against the rules for all.

    The model is built small, trained for some steps on random images, sampled from, and given wrong input,
    all on the CPU; a class is built as its option conf/model/NAME.yaml says. docs/own-family.md lists the
    rules. Exit code 1 where the family breaks one.
    """
    from genbench.app.candidates import Images, find_family

    found = find_family(family, Images(shape, classes), batchwise=batchwise)
    say(f"{family[0]} ({found.way}), images of shape {shape}")
    for heading, reason in found.refused.items():
        say(f"not built with {heading}: {reason}")
    if check_rules(found.candidates):
        raise typer.Exit(1)


def check_rules(candidates: "Mapping[str, Candidate]") -> int:
    """Check all rules on candidates, by the headings of their columns, and return how many are broken.
    Prints a row for each rule as it is checked, then what was expected and came of those that are broken.
    """
    from genbench.contract import RULES, check, sentence, title

    width = max(len(title(rule)) for rule in RULES)
    say("\n" + "  ".join([f"{'rule':<{width}}", *(f"{heading:<10}" for heading in candidates)]).rstrip())
    broken: dict[tuple[Rule, str], list[str]] = {}
    for rule in RULES:
        with warnings_in_lines():
            outcomes = {heading: check(rule, candidate) for heading, candidate in candidates.items()}
        reasons = dict.fromkeys(outcome.text for outcome in outcomes.values() if outcome.verdict == "n/a")
        verdicts = [f"{outcome.verdict:<10}" for outcome in outcomes.values()]
        say("  ".join([f"{title(rule):<{width}}", *verdicts, *reasons]).rstrip())
        for heading, outcome in outcomes.items():
            if outcome.verdict == "failed":
                broken.setdefault((rule, outcome.text), []).append(heading)
    for (rule, text), headings in broken.items():
        say(f"\nfailed ({', '.join(headings)}): {title(rule)}\n  rule: {sentence(rule)}\n  here: {text}")
    number = len({rule for rule, _ in broken})
    say(f"\n{len(RULES)} rules, {number or 'none'} broken")
    return number
