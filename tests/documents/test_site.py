"""The documentation builds as a site without a warning, and no page of it loads anything
from elsewhere."""

import logging
import os
import re
from fnmatch import fnmatch
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("mkdocs")
from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}
"""Elements that make a browser fetch something by itself, and the attribute that names it."""
NAMES_ONLY = {"canonical", "alternate", "next", "prev", "edit"}
"""Links of a page's head that say where something is, and that no browser follows by itself."""


class Page(HTMLParser):
    """Reader of a page of the site: its files, its formulas, and its text outside of code."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded, self.formulas, self.text = [], 0, ""
        self.within: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.formulas += tag == "math"
        if tag in LOADS and not NAMES_ONLY & set((found.get("rel") or "").split()):
            self.loaded.append(found.get(LOADS[tag]) or "")
        if tag in ("code", "pre", "script", "style"):
            self.within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.within[-1:] == [tag]:
            self.within.pop()

    def handle_data(self, data: str) -> None:
        self.text += "" if self.within else data


def named(nav: Any) -> list[str]:
    """The pages that a navigation names, in their order."""
    if isinstance(nav, str):
        return [nav]
    entries = nav.values() if isinstance(nav, dict) else nav
    return [page for entry in entries for page in named(entry)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `mkdocs build --strict` writes it, which fails on the first page with a warning."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "NO_MKDOCS_2_WARNING", "1")
        counted = Warnings()
        logging.getLogger("mkdocs").addHandler(counted)
        try:
            build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))
        finally:
            logging.getLogger("mkdocs").removeHandler(counted)
    assert counted.messages == []
    return folder


class Warnings(logging.Handler):
    """The warnings of a build, in which a link without a target is one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages = list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def test_no_page_loads_anything_from_another_host(site: Path, pages: dict[str, Page]) -> None:
    loaded = {(name, url) for name, page in pages.items() for url in page.loaded}
    assert loaded
    assert [(name, url) for name, url in loaded if re.match(r"(\w+:)?//", url)] == []
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", sheet.read_text()), sheet


def test_all_that_a_page_loads_is_part_of_the_site(site: Path, pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        for url in page.loaded:
            if not re.match(r"data:|/|#|\.?$", url):  # the page of an error has absolute ones
                assert (site / name).parent.joinpath(url.partition("?")[0].partition("#")[0]).is_file(), url


def test_formulas_are_mathml_and_no_dollar_sign_is_left(pages: dict[str, Page]) -> None:
    sources = {path.relative_to(DOCS).as_posix(): path.read_text() for path in DOCS.rglob("*.md")}
    for name, text in sources.items():
        page = pages[name.removesuffix(".md").replace("README", "index") + ".html"]
        plain = re.sub(r"(?s)^ *```.*?^ *```|`[^`\n]+`|\\\$", "", text, flags=re.MULTILINE)
        written = re.findall(r"(?s)\$\$.+?\$\$|\$[^$]+?\$", plain)
        assert page.formulas == len(written), name
        assert page.text.count("$") == text.count(r"\$"), name


def test_every_page_stands_in_the_navigation_once() -> None:
    pages = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    stand, linked = named(config["nav"]), config["not_in_nav"].split()  # the benchmark's, from its first page
    absent = [page for page in pages if stand.count(page) != 1]
    assert [page for page in absent if not any(fnmatch(page, pattern) for pattern in linked)] == []
    assert len(stand) == len(set(stand))


def test_every_page_of_the_navigation_is_there() -> None:
    stand = named(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert [page for page in stand if not (DOCS / page).is_file()] == []
