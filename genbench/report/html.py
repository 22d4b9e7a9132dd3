"""A comparison -> one HTML page that needs nothing else, or a folder with its pictures beside it."""

import base64
import hashlib
from pathlib import Path

from genbench.records.files import atomic_file
from genbench.report.compare import Comparison
from genbench.report.page import page
from genbench.report.pictures import Place, embedded
from genbench.runtime.printable import printable

__all__ = ["html", "write_folder"]

TEMPLATES = Path(__file__).with_name("templates")


def html(
    found: Comparison,
    *,
    title: str,
    place: Place = embedded,
    state: str = "",
) -> str:
    """The page as text. With a `state` it is served, and asks for a newer one when that changes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def spelt_out(value: object) -> object:
        return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=spelt_out,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((TEMPLATES / name).read_text() for name in ("page.css", "page.js"))
    return environment.get_template("page.html").render(
        page=page(found, place=place, title=title),
        style=Markup(style),
        script=Markup(script),
        style_hash=digest(style),
        script_hash=digest(script),
        state=state,
    )


def digest(text: str) -> str:
    """How a page's policy names the one style and the one script that it may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def write_folder(found: Comparison, out: Path, *, title: str) -> None:
    """The page as index.html with its pictures as files in assets/."""

    def copied(content: bytes) -> str:
        name = f"assets/{hashlib.sha256(content).hexdigest()[:16]}.png"
        with atomic_file(out / name) as file:
            file.write(content)
        return name

    text = html(found, title=title, place=copied)
    with atomic_file(out / "index.html") as file:
        file.write(text.encode())
