r"""Formulas of the documentation as MathML: a hook of mkdocs.

A page writes $\alpha$ inside of a line and $$\alpha$$ for a formula of its own; code is left alone, and a
dollar sign itself is written \$. Browsers draw MathML themselves, so that pages load no script and no font.
"""

import logging
import re
from xml.etree import ElementTree

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from mkdocs.config.defaults import MkDocsConfig

log = logging.getLogger("mkdocs.hooks.formulas")

DISPLAY = r"(?<!\\)\$\$(?P<tex>.+?)\$\$"
INLINE = r"(?<![\\$])\$(?P<tex>[^\s$](?:[^$]*?[^\s\\$])?)\$(?![\d$])"
AFTER_CODE = 185
"""Priority of a pattern that is looked for once spans of code are set aside, and before escapes are read."""


class Formula(InlineProcessor):
    """Pattern of a formula between dollar signs, which becomes one element <math>."""

    def __init__(self, pattern: str, md: Markdown, display: str) -> None:
        super().__init__(pattern, md)
        self.display = display

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[str, int, int]:  # noqa: N802
        """Return the MathML of a formula, set aside so that no other pattern reads it, and its place."""
        return self.md.htmlStash.store(mathml(m["tex"], self.display)), m.start(0), m.end(0)


class Formulas(Extension):
    """Extension of Python-Markdown that reads $..$ and $$..$$."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Add both patterns: $$..$$ first, since $..$ would find an empty formula in it."""
        md.inlinePatterns.register(Formula(DISPLAY, md, "block"), "display_formula", AFTER_CODE + 1)
        md.inlinePatterns.register(Formula(INLINE, md, "inline"), "inline_formula", AFTER_CODE)


def mathml(tex: str, display: str) -> str:
    """Return a formula as MathML. display: block or inline.

    A command that the converter does not know is a warning, which ends a strict build: it would be shown as
    the text of its name.
    """
    found = convert(tex, display=display)
    unknown = [node.text for node in ElementTree.fromstring(found).iter() if "\\" in (node.text or "")]
    if unknown:
        log.warning("the formula $%s$ has %s, which latex2mathml does not know", tex, ", ".join(unknown))
    return found


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let mkdocs read formulas on all pages; it calls this once its configuration is read."""
    config.markdown_extensions.append(Formulas())  # type: ignore[arg-type]  # an instance is legal too
    return config
