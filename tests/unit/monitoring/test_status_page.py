"""The status page: what it shows, and that nothing on it is more than text."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from controller.monitoring.history import SLOTS, UNKNOWN, Hour
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
NEVER = (UNKNOWN,) * SLOTS
CALM = Hour((1.0,) * SLOTS, (2.0,) * SLOTS, (0.0,) * SLOTS, NEVER, NEVER)
# Each slot has another value: nothing on the page can be larger.
BUSY = Hour(*(tuple(1.0 + (number * step) % 101 for number in range(SLOTS)) for step in (37, 41, 43, 47, 53)))
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
    assert {"Updating", "quota exceeded", "no answer", "3 infeasible"} <= set(shown)


def test_those_that_need_somebody_come_first_and_not_more_than_anybody_reads() -> None:
    rows = [replace(ROW, name=f"well-{number:04}") for number in range(MAX_CLUSTERS + 10)]
    shown = texts(replace(PAGE, clusters=(*rows, replace(ROW, name="ill", ready=False))))
    assert shown.index("ill") < shown.index("well-0000")
    assert "and 11 more, all of them like the last ones" in shown


def test_the_last_hour_is_shown_of_all_clusters_and_of_each_in_pictures_and_words() -> None:
    page = replace(PAGE, hour=BUSY, hour_of=lambda row: CALM if row.name == ROW.name else None)
    shown = texts(page)
    assert "Workers in the last hour: 1 to 101 ready, 1 to 101 wanted" in shown
    assert "Demand in the last hour: 1 to 101 waiting" in shown
    assert "Latency in the last hour: at most 101 s to a pod, 101 s to a Ray node" in shown
    assert "1 to 101 waiting" in shown
    assert "Workers in the last hour: 1 ready, 2 wanted" in shown
    # Nothing waited in this one, and no pod was made for it: that needs no picture.
    assert "Demand in the last hour: 0 waiting" not in shown
    assert render(page).count("<svg") == 3 + 1


def test_a_cluster_without_a_history_has_no_pictures() -> None:
    assert "<svg" not in render(PAGE)


def test_a_thousand_busy_clusters_make_a_page_of_bounded_size() -> None:
    rows = [replace(ROW, name=f"busy-{number:04}") for number in range(1000)]
    asked: list[str] = []

    def hour_of(row: ClusterRow) -> Hour:
        asked.append(row.name)
        return BUSY

    page = render(replace(PAGE, clusters=rows, hour=BUSY, hour_of=hour_of))
    assert len(asked) == MAX_CLUSTERS
    assert len(page) < 1_300_000


def test_one_that_stands_by_says_so() -> None:
    shown = texts(replace(PAGE, leads=False, clusters=()))
    assert {"stands by", "The replica that leads shows them."} <= set(shown)


def test_rows_and_cells_keep_their_roles_when_a_phone_shows_them_as_cards() -> None:
    html = render(PAGE)
    for tag, role in (("table", "table"), ("tr", "row"), ("td", "cell"), ("th", "columnheader")):
        assert html.count(f"<{tag} ") == html.count(f'<{tag} role="{role}"') > 0
    assert html.count('data-title="Phase"') == 1


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


def test_whether_a_cluster_is_used_is_shown_once() -> None:
    idle = replace(ROW, use="nothing has used the cluster <since> noon")
    assert "nothing has used the cluster <since> noon" in Seen(render(replace(PAGE, clusters=(idle,)))).text
    asleep = replace(ROW, ready=False, message="nothing used it", use="nothing used it")
    assert Seen(render(replace(PAGE, clusters=(asleep,)))).text.count("nothing used it") == 1
