"""A comparison -> one HTML page that needs nothing else, or a folder with its pictures beside it."""

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.records.files import atomic_file
from genbench.report.compare import Comparison
from genbench.report.footnotes import left_out
from genbench.report.names import some
from genbench.report.numbers import parts, written
from genbench.report.overview import overview
from genbench.report.page.pictures import Pictures, Place, embedded, heading, media_type
from genbench.report.page.run_folder import images_seen
from genbench.report.page.sections import section
from genbench.report.stability import stability
from genbench.report.unfinished import at_work
from genbench.runtime.printable import printable

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["environment", "html", "styles", "write_folder"]

TEMPLATES = Path(__file__).with_name("templates")


def html(found: Comparison, *, title: str, place: Place = embedded, state: str = "") -> str:
    """Return the page of a comparison as text, in which every text of a run is escaped.

    place: turns the bytes of a picture into its `src`; by default the page holds them. With a `state`, see
    `serve.state_of`, the page is served and reloads itself when the server's state is another one.
    """
    pictures = Pictures(place)
    sections = [section(number, table, found, pictures) for number, table in enumerate(found.tables)]
    ending = left_out({}, found.runs.passed_over)
    if pictures.refused:
        ending.append(f"Not shown: {some([*pictures.refused.values()], '; ')}.")
    working = at_work(found.runs)
    others = {run: why for run, why in found.runs.left_out.items() if run not in {x.name for x in working}}
    page: dict[str, object] = {
        "title": title,
        "state": state,
        "found": found,
        "sections": sections,
        "ending": ending,
    }
    page |= {"overview": overview(found), "at_work": working, "others": others}
    page["stability"] = stability(found.runs)
    return environment().get_template("page.html").render(page, **styles("page"))


def environment() -> "Environment":
    """Return the templates, which escape every text and spell out its control characters."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=lambda x: printable(x) if isinstance(x, str) and not isinstance(x, Markup) else x,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= {"parts": parts, "written": written, "images_seen": images_seen, "digest": digest}
    found.globals["heading"] = heading
    return found


def styles(script: str) -> dict[str, str]:
    """Return the style sheet of all pages and the script of one, as templates take them in: `style` and
    `script`.
    """
    from markupsafe import Markup

    files = {"style": "page.css", "script": f"{script}.js"}
    return {key: Markup((TEMPLATES / name).read_text()) for key, name in files.items()}


def digest(text: str) -> str:
    """The hash by which the page's content security policy allows its one style sheet or its one script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def write_folder(found: Comparison, out: Path, *, title: str) -> None:
    """Write the page as index.html of a folder, with its pictures as files in assets/, equal ones once.

    Raises OSError, which names the file, where one cannot be written.
    """

    def copied(content: bytes) -> str:
        name = f"assets/{hashlib.sha256(content).hexdigest()[:16]}.{media_type(content)}"
        with atomic_file(out / name) as file:
            file.write(content)
        return name

    text = html(found, title=title, place=copied)
    with atomic_file(out / "index.html") as file:
        file.write(text.encode())
