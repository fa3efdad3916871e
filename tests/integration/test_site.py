"""The documentation in a real browser: each page, at the widths of a screen and of a phone."""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page
from playwright.sync_api import TimeoutError as NotInTime

from tests.support.prerequisites import ROOT

pytestmark = pytest.mark.xdist_group("browser")

# Parts of a page that are wider than their place: tables have to fit, lines of programs and outputs may scroll.
TOO_WIDE = """() => [document.documentElement, ...document.querySelectorAll('.md-typeset__scrollwrap')]
  .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.trim().slice(0, 60))"""
BROKEN_IMAGES = "() => [...document.images].filter(i => !i.naturalWidth || !i.alt).map(i => i.src)"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Requests are not news."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    """Where the site is, and its pages."""
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pages = [str(page.relative_to(folder)) for page in sorted(folder.rglob("*.html")) if page.name != "404.html"]
    yield f"http://127.0.0.1:{server.server_port}", pages
    server.shutdown()
    server.server_close()


def too_wide(page: Page) -> list[str]:
    """What is too wide once parts that slide in and out have come to rest."""
    with contextlib.suppress(NotInTime):
        page.wait_for_function(f"() => !({TOO_WIDE})().length", timeout=30_000)
    found: list[str] = page.evaluate(TOO_WIDE)
    return found


def test_every_page_fits_and_its_pictures_are_there(chromium: Browser, site: tuple[str, list[str]]) -> None:
    address, pages = site
    assert len(pages) > 40
    page = chromium.new_page()
    # Each page would make an index of all pages to search in.
    page.route("**/workers/search*", lambda route: route.fulfill(content_type="text/javascript", body=""))
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    found = {}
    for path in pages:
        page.goto(f"{address}/{path}")
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            if found_here := [*too_wide(page), *page.evaluate(BROKEN_IMAGES), *said]:
                found[path, width] = found_here
            said.clear()
    page.close()
    assert found == {}


def test_rows_of_wide_tables_are_cards_on_a_phone(chromium: Browser, site: tuple[str, list[str]]) -> None:
    """With the names of their columns; what a table leaves out below its like is there."""
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.goto(f"{site[0]}/security.html")
    row = page.get_by_role("row").filter(has_text="one event of a watch")
    cells = row.get_by_role("cell")
    assert cells.all_inner_texts()[0] == "the API server"
    tops = [box["y"] for cell in cells.all() if (box := cell.bounding_box())]
    assert tops == sorted(set(tops)) and len(tops) == 4
    assert page.evaluate("e => getComputedStyle(e, '::before').content", cells.nth(2).element_handle()) == '"bound"'
    page.set_viewport_size({"width": 1280, "height": 900})
    assert cells.all_inner_texts()[0] == ""
    page.close()


def test_what_is_copied_from_a_block_is_commands(chromium: Browser, site: tuple[str, list[str]]) -> None:
    """Blocks with outputs have no button."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{site[0]}/deploying-on-kubernetes.html")
    page.wait_for_selector("div.language-shell button")
    assert page.locator("div.language-shell button:visible").count() > 0
    assert page.locator("div.language-console button:visible").count() == 0
    page.close()
