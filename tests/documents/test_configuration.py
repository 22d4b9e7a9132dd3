"""docs/configuration.md is what conf/ holds: written again, it is the same page."""

import pytest

from docs_tools import configuration
from genbench.config.groups import groups
from tests.documents.pages import text_of

REMEDY = "docs/configuration.md is out of date: python -m docs_tools.configuration"


@pytest.mark.parametrize("group", groups())
def test_the_options_and_settings_of_a_group_are_those_of_its_files(group: str) -> None:
    own = text_of("docs/configuration.md").partition(f"\n### {group}\n")[2]
    assert configuration.tables(group) in own.partition("\n##")[0] + "\n", REMEDY


def test_the_settings_of_every_run_are_those_of_the_first_file() -> None:
    assert configuration.root() in text_of("docs/configuration.md"), REMEDY


@pytest.mark.slow  # the options of each model are composed
def test_the_committed_page_is_what_its_tool_writes() -> None:
    assert text_of("docs/configuration.md") == configuration.page(), REMEDY
