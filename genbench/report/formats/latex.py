"""Tables of a report as LaTeX source, with rules of the package booktabs."""

import re

from genbench.report.columns import Column
from genbench.report.compare import Comparison
from genbench.report.footnotes import notes
from genbench.report.table import Table
from genbench.runtime.printable import in_one_line

__all__ = ["latex"]

SPECIAL = {letter: f"\\{letter}" for letter in "&%$#_{}"}
NAMES = ["backslash", "asciitilde", "asciicircum", "less", "greater", "bar", "quotedbl"]
SPECIAL |= {letter: f"\\text{name}{{}}" for letter, name in zip('\\~^<>|"', NAMES, strict=True)}
# "[" at the beginning of a row would be an argument of the line break before it, "*" its starred form.
SPECIAL |= {letter: f"{{{letter}}}" for letter in "[]*"}
SYMBOLS = {"±": "pm", "≤": "le", "≈": "approx", "∞": "infty", "↓": "downarrow", "↑": "uparrow", "†": "dag"}
SPECIAL |= {letter: f"$\\{name}$" for letter, name in SYMBOLS.items()}
HEAD = "% needs \\usepackage{booktabs}\n"


def latex(found: Comparison) -> str:
    """Return a comparison as LaTeX: a table environment for each data set, with its footnotes below it.

    The notes on all tables stand below each. Special characters of the texts are escaped.
    """
    on_all = [*found.beginning, *found.ending]
    return HEAD + "\n".join(environment(table, [*notes(table), *on_all]) for table in found.tables)


def environment(table: Table, footnotes: list[str]) -> str:
    """Return the LaTeX of one data set's table, with its footnotes below it."""
    right = ["r" if is_number else "l" for is_number in table.is_number]
    rows = table.texts(escape, "\\textbf{{{}}}")
    body = "\n".join(f"{' & '.join(row)} \\\\" for row in rows)
    below = "\\\\\n".join(map(note, footnotes))
    return (
        "\\begin{table}\n\\centering\n"
        f"\\caption{{{escape(table.title)}}}\n"
        f"\\begin{{tabular}}{{@{{}}{''.join(right)}@{{}}}}\n\\toprule\n"
        f"{' & '.join(map(head, table.columns))} \\\\\n\\midrule\n{body}\n\\bottomrule\n"
        "\\end{tabular}\n\n\\smallskip\n"
        f"\\begin{{minipage}}{{\\linewidth}}\\footnotesize\n{below}\n\\end{{minipage}}\n\\end{{table}}\n"
    )


def head(col: Column) -> str:
    """A column's title with the mark of its footnote and its arrow."""
    mark = f"\\textsuperscript{{{col.mark}}}" if col.mark else ""
    return f"{escape(col.title)}{mark} {escape(col.arrow)}".rstrip()


def note(text: str) -> str:
    """A footnote with its mark in front."""
    found = re.match(r"\[(\d+)\] (.*)", text, re.DOTALL)
    return f"\\textsuperscript{{{found[1]}}}{escape(found[2])}" if found else escape(text)


def escape(text: str) -> str:
    """Text that LaTeX sets as it is, in one line."""
    return "".join(SPECIAL.get(letter, letter) for letter in in_one_line(" ".join(text.split())))
