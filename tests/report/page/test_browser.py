"""The page as a reader has it: in a real Chromium."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genbench.report import Query
from genbench.report.compare import compare
from genbench.report.page import html
from genbench.report.page.serve import LiveReport, server
from tests.report.page.browser import CHROMIUM, Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")

FID = "fid[f-cnn,n=1000,ref=train,{}]"
HOSTILE = "\"><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
FIRST = (
    "[...document.querySelectorAll('.board tbody tr:not(.out) th')].map((cell) => cell.textContent.trim())"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture
def page(tmp_path: Path, write: Callable[..., Path], result: dict, browser: Browser) -> Browser:
    """A page of four rows, one of them with a hostile name and no FID, opened in the browser."""
    fids = {"l1": 10.5, "l2": 9.25, "huber": 1.5, HOSTILE: None}
    for number, (loss, fid) in enumerate(fids.items()):
        cost = result["cost"] | {"training_seconds": 10.0 + number, "seconds_per_image": 0.1**number}
        path = write(
            f"run{number}",
            choices=result["choices"] | {"loss": loss},
            metrics={FID.format("ema"): fid},
            cost=cost,
        )
        (path.parent / "metrics.jsonl").write_text(
            "".join(f'{{"images_seen": {i}, "net/loss": {1 / i}}}\n' for i in range(1, 9))
        )
        (path.parent / "samples").mkdir()
        Image.new("L", (32, 32), 60 * number).save(path.parent / "samples" / "samples_000000008.png")
        (path.parent / ".hydra").mkdir()
        (path.parent / ".hydra" / "overrides.yaml").write_text(f"- seed=1\n- name={number}\n")
    file = tmp_path / "page.html"
    file.write_text(html(compare(tmp_path, Query()), title=HOSTILE))
    browser.media()
    browser.open(file.as_uri())
    return browser


def head(title: str) -> str:
    """A column's button."""
    return f"[...document.querySelectorAll('.board button')].find((b) => b.textContent.startsWith('{title}'))"


def click(page: Browser, title: str) -> None:
    page.run(f"{head(title)}.click()")


def test_a_click_on_a_title_sorts_best_first_then_back_and_what_is_missing_stays_last(page: Browser) -> None:
    assert page.run(FIRST) == ["huber", "l2", "l1", HOSTILE]
    assert page.run(f"{head('FID')}.parentElement.getAttribute('aria-sort')") == "ascending"
    click(page, "FID")
    assert page.run(FIRST) == ["l1", "l2", "huber", HOSTILE]  # as numbers: 10.5 is more than 9.25
    assert page.run(f"{head('FID')}.parentElement.getAttribute('aria-sort')") == "descending"
    click(page, "loss")
    assert page.run(FIRST) == [HOSTILE, "huber", "l1", "l2"]
    assert page.run("document.querySelectorAll('[aria-sort]').length") == 1


def test_text_that_begins_as_a_number_is_sorted_as_text(page: Browser) -> None:
    keys = ["3d", "inference", "inf", "-1e-05", "12", "1e+300", "2.5"]
    cells = "{cells: [{dataset: {key: text}}]}"
    found = page.run(f"{json.dumps(keys)}.map((text) => String(key({cells}, 0)))")
    assert found == ["3d", "inference", "Infinity", "-0.00001", "12", "1e+300", "2.5"]


def test_the_filter_leaves_rows_with_all_words_and_takes_the_others_from_every_figure(page: Browser) -> None:
    shown = "[...document.querySelectorAll('[data-row]:not(.out)')].filter((e) => e.matches('{}')).length"
    assert page.run(shown.format(".dot")) == 6
    page.run(
        "(() => { const f = document.querySelector('.filter'); f.value = 'HUBER';"
        " f.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )
    assert page.run(FIRST) == ["huber"]
    assert page.run("document.querySelector('.count').textContent") == "1 of 4 rows"
    assert page.run(shown.format(".dot")) == 2  # once in each of the two figures
    assert page.run(shown.format(".shots figure")) == 1
    assert page.run(shown.format(".line")) == 1
    assert page.run("getComputedStyle(document.querySelector('.board tr.out')).display") == "none"


def test_it_can_be_used_with_the_keyboard_alone(page: Browser) -> None:
    focused = "document.activeElement.textContent.trim()"
    for _ in range(10):
        page.press("Tab")
        if page.run(focused).startswith("FID"):
            break
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.press("Enter", "\r")
    assert page.run(FIRST)[0] == "l1"


def test_nothing_of_a_run_is_taken_for_code_and_nothing_is_asked_of_a_network(page: Browser) -> None:
    assert page.run("window.hacked") is None
    assert HOSTILE in page.run("document.querySelector('h1').textContent")
    assert page.run("document.querySelectorAll('script').length") == 1
    requests = [e for e in page.events if e.get("method") == "Network.requestWillBeSent"]
    urls = [e["params"]["request"]["url"] for e in requests]
    assert [url for url in urls if not url.startswith(("file:", "data:"))] == []
    complaints = [
        e["params"] for e in page.events if e.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown")
    ]
    assert complaints == []


def test_the_pages_own_policy_stops_a_script_that_is_not_its_own(page: Browser) -> None:
    page.run(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.hacked = 1';"
        " document.body.append(s); })()"
    )
    assert page.run("window.hacked") is None


def pixels(page: Browser) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"), dtype=float)


@pytest.mark.parametrize("width", [400, 1280])
def test_it_is_legible_in_light_and_in_dark_and_fits_the_screen(page: Browser, width: int) -> None:
    """The ground is light or dark, and text stands out of it by the 4.5 : 1 of WCAG AA."""
    for scheme, is_ground in (("light", lambda grey: grey > 240), ("dark", lambda grey: grey < 40)):
        page.media(scheme=scheme, width=width)
        assert is_ground(np.median(pixels(page)))
        for part in ("h1", ".board td", ".notes li", ".hint", "text.xtick", "text.label", "code"):
            assert contrast(page, part) >= 4.5, part
        assert page.run("document.documentElement.scrollWidth <= innerWidth")


def contrast(page: Browser, selector: str) -> float:
    """The contrast ratio of a text with the page. Source: WCAG 2.2, relative luminance."""
    kind = "fill" if "text" in selector else "color"
    colours = page.run(
        f"[getComputedStyle(document.querySelector('{selector}')).{kind},"
        " getComputedStyle(document.body).backgroundColor]"
    )
    low, high = sorted(map(luminance, colours))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Of rgb(r, g, b)."""
    channels = [float(part) / 255 for part in colour.strip("rgb()").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_on_paper_the_controls_are_gone_and_the_ground_is_white(page: Browser) -> None:
    page.media(scheme="dark", kind="print")
    assert page.run("getComputedStyle(document.querySelector('.controls')).display") == "none"
    assert page.run("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


def test_figures_are_drawn_inside_their_frames(page: Browser) -> None:
    outside: Any = page.run(
        "[...document.querySelectorAll('.chart svg')].flatMap((svg) => {"
        " const frame = svg.getBoundingClientRect();"
        " return [...svg.querySelectorAll('path, text, use')].filter((part) => {"
        "  const box = part.getBoundingClientRect();"
        "  return box.left < frame.left - 1 || box.right > frame.right + 1"
        "   || box.top < frame.top - 1 || box.bottom > frame.bottom + 1; }).map((part) => part.outerHTML); })"
    )
    assert outside == []


WIDE = {  # as many measures as a table of all families has, with intervals
    name.format(part): value
    for name, value in (
        ("fid{}[f-cnn,n=1000,ref=train,ema]", 28.41),
        ("is{}[f-cnn,n=1000,splits=10,ema]", 8.341),
        ("kid{}[f-cnn,n=1000,ref=train,ema]", 1.0964),
        ("precision{}[f-cnn,n=1000,k=5,ref=train,ema]", 0.984),
        ("recall{}[f-cnn,n=1000,k=5,ref=train,ema]", 0.9062),
    )
    for part in ("", "_low", "_high")
}


@pytest.fixture
def wide(tmp_path: Path, write: Callable[..., Path], result: dict, browser: Browser) -> Browser:
    """A page of two rows with every column, and two budgets."""
    for number, model in enumerate(("latent_diffusion", "ddpm")):
        config = {"budget": {"images": 60_000 * (1 + number)}}
        metrics = {name: value * (0.9 if "_low" in name else 1 + number / 9) for name, value in WIDE.items()}
        cost = result["cost"] | {"training_seconds": 10.5 + number, "seconds_per_image": 0.000207 + number}
        cost |= {"parameters": 424_000 + number, "passes_per_sample": 50 + number}
        choices = result["choices"] | {"model": model}
        rebuilt = {"mse": 0.02 + number}
        write(model, choices=choices, metrics=metrics, cost=cost, config=config, reconstruction=rebuilt)
    file = tmp_path / "wide.html"
    file.write_text(html(compare(tmp_path, Query()), title="wide"))
    browser.media()
    browser.open(file.as_uri())
    return browser


def test_on_paper_a_setting_of_eight_rows_is_not_broken_within_a_word(
    tmp_path: Path, write: Callable[..., Path], result: dict, browser: Browser
) -> None:
    for number in range(8):
        config = {"trainer": {"ema_halflife_images": number}, "optim": {"betas": [0.9, 0.99 + number / 1e3]}}
        write(f"run{number}", choices=result["choices"] | {"model": f"flow_matching_{number}"}, config=config)
    file = tmp_path / "eight.html"
    file.write_text(html(compare(tmp_path, Query()), title="eight"))
    browser.media(kind="print", width=794)  # A4 at 96 dpi
    browser.open(file.as_uri())
    lines = browser.run(
        "[...document.querySelectorAll('.differences tbody th')].map((cell) => {"
        " const range = document.createRange(); range.selectNodeContents(cell);"
        " return range.getClientRects().length; })"
    )
    assert lines == [1] * len(lines)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")


def test_labels_that_are_drawn_do_not_touch(wide: Browser) -> None:
    """The size that the figures take a text to have is at least its size."""
    touching = wide.run(
        "[...document.querySelectorAll('.chart')].flatMap((chart) => {"
        " const boxes = [...chart.querySelectorAll('text.label')].map((t) => t.getBoundingClientRect());"
        " return boxes.flatMap((a, i) => boxes.slice(i + 1).filter((b) =>"
        "  a.left < b.right && b.left < a.right && a.top + 2 < b.bottom - 2 && b.top + 2 < a.bottom - 2)); })"
    )
    assert wide.run("document.querySelectorAll('text.label').length") == 4
    assert touching == []


def test_a_table_of_every_measure_fits_a_screen_of_1280_and_a_sheet_of_paper(wide: Browser) -> None:
    beyond = (
        "(() => { const s = document.querySelector('.scroll'); return s.scrollWidth - s.clientWidth; })()"
    )
    assert wide.run("document.querySelectorAll('.board thead th').length") >= 13
    assert wide.run(beyond) == 0
    assert wide.run("document.querySelector('.more').hidden")
    wide.media(kind="print", width=794)  # A4 at 96 dpi
    assert wide.run(beyond) == 0


def test_on_a_narrow_screen_the_table_scrolls_below_the_names_of_its_rows(wide: Browser) -> None:
    wide.media(width=420)
    wide.run("new Promise(requestAnimationFrame)")
    assert wide.run("getComputedStyle(document.querySelector('.more')).display") != "none"  # it says so
    wide.run("document.querySelector('.scroll').scrollLeft = 300")
    assert wide.run("document.querySelector('.scroll').scrollLeft") == 300
    place = "document.querySelector('.board tbody {}').getBoundingClientRect().left"
    assert 0 < wide.run(place.format("th")) < 60
    assert wide.run(place.format("td:nth-child(3)")) < 0
    painted = "getComputedStyle(document.querySelector('.board tbody th')).backgroundColor"
    assert wide.run(painted) == "rgb(255, 255, 255)"  # what scrolls below does not shine through


def test_a_served_page_shows_a_run_that_ends_without_being_asked_and_keeps_its_filter(
    tmp_path: Path, write: Callable[..., Path], browser: Browser
) -> None:
    write("first")

    def page(state: str) -> str:
        return html(compare(tmp_path, Query(by=("run",)), unfinished=True), title="runs", state=state)

    with server(LiveReport(tmp_path, page), "127.0.0.1", 0) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        browser.media()
        browser.open(f"http://127.0.0.1:{listening.server_port}/")
        browser.run(
            "(() => { const f = document.querySelector('.filter'); f.value = 'ddpm';"
            " f.dispatchEvent(new Event('input', { bubbles: true })); })()"
        )
        assert browser.run("document.querySelector('.count').textContent") == "1 of 1 rows"
        browser.events.clear()
        write("second")
        browser.wait("Page.loadEventFired")  # it asks every five seconds
        assert browser.run("document.querySelector('.count').textContent") == "2 of 2 rows"
        assert browser.run("document.querySelector('.filter').value") == "ddpm"
        browser.open("about:blank")
        listening.shutdown()
        thread.join()
