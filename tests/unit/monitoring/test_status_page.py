"""The status page: what it shows, and that nothing on it is more than text."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from controller.monitoring.status_page import MAX_CLUSTERS, MAX_TEXT, ClusterRow, DecisionRow, Page, render

ROW = ClusterRow(
    namespace="ray",
    name="example",
    phase="Running",
    ready=True,
    message="",
    restarts=2,
    workers_ready=3,
    workers_desired=4,
    pending=5,
    infeasible=0,
    answer_age=1.2,
    nodes={("worker", "ready"): 3, ("worker", "pending"): 1, ("head", "ready"): 1},
)
PAGE = Page("1.2.3", "all namespaces", True, (), 7, (ROW,), (DecisionRow(90, "ray/example", "created 1 pod"),))


class Seen(HTMLParser):
    """The tags of a page, its attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self._style = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._style = tag == "style"
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        self._style = False

    def handle_data(self, data: str) -> None:
        if data.strip() and not self._style:
            self.text.append(data.strip())


def texts(page: Page) -> list[str]:
    return Seen(render(page)).text


def test_a_cluster_its_nodes_demand_and_the_last_decisions_are_shown() -> None:
    shown = texts(PAGE)
    for text in ("ray-operator", "1.2.3 · all namespaces", "leads", "example", "ray", "Running", "3 of 4"):
        assert text in shown
    for text in ("3 worker", "ready", "1 worker", "pending", "1 head", "5 waiting", "1 s ago", "2"):
        assert text in shown
    assert shown[-3:] == ["2 min ago", "ray/example", "created 1 pod"]


def test_why_a_cluster_is_not_ready_is_said() -> None:
    row = replace(ROW, ready=False, phase="Updating", message="quota exceeded", answer_age=None, infeasible=3)
    shown = texts(replace(PAGE, clusters=(row,)))
    assert {"Updating", "quota exceeded", "no answer", "3 never possible"} <= set(shown)


def test_those_that_need_somebody_come_first_and_not_more_than_anybody_reads() -> None:
    rows = [replace(ROW, name=f"well-{number:04}") for number in range(MAX_CLUSTERS + 10)]
    shown = texts(replace(PAGE, clusters=(*rows, replace(ROW, name="ill", ready=False))))
    assert shown.index("ill") < shown.index("well-0000")
    assert "and 11 more, all of them like the last ones" in shown


def test_one_that_stands_by_says_so() -> None:
    shown = texts(replace(PAGE, leads=False, clusters=()))
    assert {"stands by", "The replica that leads shows them."} <= set(shown)


def test_troubles_of_the_process_and_empty_lists_are_said() -> None:
    shown = texts(replace(PAGE, clusters=(), decisions=(), troubles=("lease has not turned for 61 s",)))
    assert {
        "lease has not turned for 61 s",
        "There is no RayCluster.",
        "None since this process began.",
    } <= set(shown)


@pytest.mark.parametrize(
    "evil",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "</style><script>x</script>",
        "&lt;b&gt;",
        "\x00\x1b[31m\u202e\ud800",
    ],
)
def test_whatever_a_name_or_message_holds_is_text(evil: str) -> None:
    plain = Seen(render(PAGE))
    row = replace(ROW, namespace=evil, name=evil, phase=evil, ready=False, message=evil, nodes={(evil, evil): 1})
    page = Page(evil, evil, True, (evil,), 1, (row,), (DecisionRow(1, evil, evil),))
    html = render(page)
    seen = Seen(html)
    assert seen.tags <= {*plain.tags, "p"}
    assert seen.attributes == plain.attributes
    assert not {"script", "img"} & seen.tags
    assert not set("\x00\x1b\u202e") & set(html)
    html.encode()


def test_a_message_without_end_is_cut() -> None:
    row = replace(ROW, ready=False, message="x" * 100_000)
    assert f"{'x' * (MAX_TEXT - 1)}…" in texts(replace(PAGE, clusters=(row,)))
