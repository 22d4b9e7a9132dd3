"""docs/configuration.md is what conf/ holds: written again, it is the same page."""

from genbench.config.groups import groups, options
from tests.documents.pages import text_of


def test_the_committed_page_is_what_its_tool_writes() -> None:
    from docs_tools.configuration import page

    remedy = "docs/configuration.md is out of date: python -m docs_tools.configuration"
    assert text_of("docs/configuration.md") == page(), remedy


def test_the_page_names_every_option_of_every_group() -> None:
    text = text_of("docs/configuration.md")
    for group in groups():
        own = text.partition(f"\n### {group}\n")[2].partition("\n##")[0]
        assert [option for option in options(group) if f"\n| `{option}` |" not in own] == [], group
