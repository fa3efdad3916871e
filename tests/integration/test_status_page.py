"""The status page in a real browser: a hundred clusters at the widths of a screen and of a phone, light and dark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, Protocol

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from controller.monitoring.http_server import Server
from controller.monitoring.routes import routes
from tests.support.played_hour import PlayedOperator

pytestmark = pytest.mark.xdist_group("browser")

WIDE, PHONE = (1280, 900), (390, 844)
SIZES = pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])
Scheme = Literal["light", "dark"]
# What is there to be read, and where it ends to the right. What is only for screen readers is a pixel wide.
BEYOND = """() => [...document.querySelectorAll('body *')]
  .filter(e => !e.closest('thead') || getComputedStyle(e.closest('thead')).position != 'absolute')
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 99))"""
MANY, FEW = 100, 6


class Opened(Protocol):
    def __call__(self, size: tuple[int, int], scheme: Scheme, clusters: int = MANY) -> Page: ...


@pytest.fixture(scope="module")
def addresses() -> Iterator[Mapping[int, str]]:
    """Where the page is of an operator with so many clusters."""
    servers = {clusters: Server("127.0.0.1", 0, routes(PlayedOperator(clusters), ())) for clusters in (MANY, FEW)}
    for server in servers.values():
        server.start()
    yield {clusters: f"http://127.0.0.1:{server.port}/" for clusters, server in servers.items()}
    for server in servers.values():
        server.stop()


@pytest.fixture
def opened(chromium: Browser, addresses: Mapping[int, str]) -> Iterator[Opened]:
    """Opens the page. Whatever its console says in the end is an error."""
    said: list[str] = []
    pages: list[Page] = []

    def open_page(size: tuple[int, int], scheme: Scheme, clusters: int = MANY) -> Page:
        page = chromium.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(addresses[clusters])
        # It loads itself again every ten seconds: without news it stays as it is, however slow this machine is.
        page.route("**/*", lambda route: route.fulfill(status=204))
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert said == []


@SCHEMES
@SIZES
def test_nothing_is_wider_than_the_screen(opened: Opened, size: tuple[int, int], scheme: Scheme) -> None:
    page = opened(size, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    assert page.evaluate(BEYOND) == []
    assert page.get_by_text("hyperparameter-search-0", exact=True).is_visible()
    longest = page.get_by_text("the-longest-name-of-a-cluster-the-longest-name-of-a-cluster", exact=True)
    assert longest.is_visible()


@SIZES
def test_the_last_hour_is_drawn_of_all_clusters_and_of_each(opened: Opened, size: tuple[int, int]) -> None:
    page = opened(size, "light")
    assert page.get_by_role("img").count() >= 3 + 100
    for what in ("Workers", "Demand", "Latency"):
        drawn = page.locator("figure").filter(has_text=what).get_by_role("img")
        assert "in the last hour: " in (drawn.get_by_text(what).text_content() or "")
        box = drawn.bounding_box()
        assert box and box["width"] > 250 and box["height"] > 50
        # Something was drawn in it, over the whole of the hour.
        assert page.evaluate("e => Math.max(...[...e.querySelectorAll('path')].map(p => p.getBBox().width))",
                             drawn.element_handle()) == 120  # fmt: skip


@SIZES
def test_rows_are_a_table_on_a_screen_and_cards_on_a_phone_and_a_table_to_both(
    opened: Opened, size: tuple[int, int]
) -> None:
    page = opened(size, "light", FEW)
    cells = page.locator(".clusters").get_by_role("row").filter(has_text="feature-pipeline-0").get_by_role("cell")
    tops = {round(box["y"]) for cell in cells.all() if (box := cell.bounding_box())}
    assert len(tops) == 1 if size == WIDE else len(tops) > 4
    assert page.get_by_role("columnheader", name="Latency").count() == 1
    title = page.evaluate("e => getComputedStyle(e, '::before').content", cells.nth(2).element_handle())
    assert title == ("none" if size == WIDE else '"Workers"')


def test_dark_is_dark(opened: Opened) -> None:
    colors = {
        scheme: opened(WIDE, scheme, FEW).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert colors == {"light": "rgb(246, 248, 250)", "dark": "rgb(18, 23, 28)"}


@SCHEMES
@SIZES
def test_everybody_can_read_it(opened: Opened, size: tuple[int, int], scheme: Scheme) -> None:
    """Contrast, names of pictures, roles of tables and the like, as axe-core checks them."""
    options = {"resultTypes": ["violations"], "rules": {"meta-refresh": {"enabled": False}}}
    found = Axe().run(opened(size, scheme, FEW), options=options)
    assert [v["id"] for v in found.response["violations"]] == [], found.generate_report()
