"""Claims of texts on generative models, measured: `python -m benchmarks.claims RUNS --out docs/claims.md`.

It trains nothing: it reads the finished runs of the presets `sweep=claims_*`, names those that are missing
with the command that makes them, and writes each claim's table and verdicts. No figure is typed by hand.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks.claim_list import CLAIMS, Claim
from benchmarks.claim_page import frame, missing_lines, section, summary, values_of
from benchmarks.claim_runs import Rows, failures, noise_fid, rows_of_runs, rows_of_sampling
from benchmarks.claim_verdicts import COUNTED, LEAST, LEAST_OF_OTHERS, verdicts
from benchmarks.console import Out
from genbench.report import frame_markdown

__all__ = ["best_of", "main", "page", "read_rows"]

RULES = f"""# Claims of texts on generative models, measured

Texts on generative models say which choice is better. This page measures what they say, on scikit-learn's
digits (8x8 pixels) where nothing else is said, with three seeds and small networks. It shows if a claim can
be seen at that size, not if it is true of large images. The claims are in this project's words, not quoted.

Tables have means and standard deviations over seeds; [the protocol](protocol.md) explains their columns.

| verdict | meaning |
| --- | --- |
| holds | the difference is significant, in the claimed direction |
| the opposite | it is significant, in the other direction |
| does not hold | it is not significant, and the claimed effect is smaller than any that would matter |
| not decided | neither |

The least effect that would matter is {100 * LEAST:.0f} % of FID and of seconds, and {LEAST_OF_OTHERS} of
other measures. All verdicts are at 95 % by Welch's test (of shares of runs by Fisher's exact test), with
Holm's correction over the statements of a claim. So of a claim whose rows are equal in truth, any statement
is said to hold, or the opposite, in at most 5 % of all cases. Intervals are of single differences, without
the correction.

`rates tried` says how far a row was tuned for this comparison: at how many learning rates it was trained, of
which it has the best by mean FID. 1: at one alone, the default of its model, which was chosen for the default
settings of the model and not for the row; another rate may change the order of such rows. all 4: runs at each
of 4 rates count.

```sh
python -m benchmarks.claims RUNS --out docs/claims.md  # writes this page from finished runs
```
"""


def main(
    runs: Annotated[
        Path,
        typer.Argument(exists=True, file_okay=False, help="Directory with the runs of `sweep=claims_*`."),
    ] = Path("runs"),
    out: Out = None,
) -> None:
    """Read the finished runs of every claim, and print or write the page with tables and verdicts.

    Missing runs are listed on stderr, each with the command that makes them; what is there is compared.
    """
    torch.set_num_threads(1)
    text, missing = page(runs, CLAIMS)
    for line in missing:
        typer.echo(line, err=True)
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text)


def page(runs: Path, claims: Sequence[Claim]) -> tuple[str, list[str]]:
    """Return the page of some claims as Markdown, and a line for each claim that lacks runs, with the
    commands that make them.
    """
    noise = noise_fid()
    found = [(claim, read_rows(runs, claim, noise)) for claim in claims]
    results = [(claim, rows, verdicts(claim.statements, values_of(rows))) for claim, rows in found]
    overview = [summary(claim, words) for claim, _, words in results if words]
    sections = [section(claim, rows, words, noise) for claim, rows, words in results]
    missing = [line for claim, rows in found for line in missing_lines(claim, rows)]
    return "\n".join([RULES, frame_markdown(frame(overview)), *sections]), missing


def read_rows(runs: Path, claim: Claim, noise: float) -> Rows:
    """Read the rows of a claim from the directory of all runs; noise: the FID of uniform noise."""
    folder = runs / claim.folder
    if not claim.axes:
        return rows_of_sampling(folder)
    if any(measure in COUNTED for measure in claim.measures):
        return failures(folder, claim.axes, noise)
    rows = rows_of_runs(folder, claim.axes)
    return best_of(rows, claim.tuned) if claim.tuned else rows


def best_of(rows: Rows, axis: str) -> Rows:
    """Return of rows that differ in their last value ("eps, 0.004") the one with the lowest mean FID, under
    the label without it, and with that value as a measure under the name of the axis.
    """
    found: Rows = {}
    for label, runs in sorted(rows.items(), key=lambda pair: mean_fid(pair[1])):
        name, _, value = label.rpartition(", ")
        found.setdefault(name, [{**run, axis: float(value)} for run in runs])
    return found


def mean_fid(runs: Sequence[Mapping[str, float]]) -> float:
    """Return the mean FID of some runs, infinite where one is not finite."""
    mean = sum(run["fid"] for run in runs) / len(runs)
    return mean if math.isfinite(mean) else math.inf


if __name__ == "__main__":
    typer.run(main)
