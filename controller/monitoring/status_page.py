"""The status page: what the operator knows, the last hour and what it did last, as one read-only HTML page. Pure.

There is no script and nothing from elsewhere in it. Everything that is shown may have been chosen by an attacker, so
everything goes through ``_text``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from . import plot
from .history import Hour
from .status_style import STYLE

# More rows make a page that is not read; those that need attention come first.
MAX_CLUSTERS = 200
MAX_TEXT = 300

_STANDS_BY = "The replica that leads shows them."
_NONE = '<span class="dim none">none</span>'


@dataclass(frozen=True)
class ClusterRow:
    """One cluster. ``nodes``: (type, state) -> number. ``answer_age``: seconds since the head's last answer. ``use``:
    whether it is used, in words, where that matters.
    """

    namespace: str
    name: str
    phase: str
    ready: bool
    message: str
    restarts: int
    workers_ready: int
    workers_desired: int
    pending: int
    infeasible: int
    answer_age: float | None
    nodes: Mapping[tuple[str, str], int]
    use: str = ""


@dataclass(frozen=True)
class DecisionRow:
    """One thing that was done, ``ago`` seconds ago."""

    ago: float
    cluster: str
    what: str


@dataclass(frozen=True)
class Page:
    """All that is shown. ``troubles`` are sentences about the process itself.

    ``hour``: the last hour of all clusters; None while this process does not lead. ``hour_of``: that of one cluster,
    asked for those that are shown.
    """

    version: str
    namespaces: str
    leads: bool
    troubles: Sequence[str]
    queue: int
    clusters: Sequence[ClusterRow]
    decisions: Sequence[DecisionRow]
    hour: Hour | None = None
    hour_of: Callable[[ClusterRow], Hour | None] = lambda row: None


def render(page: Page) -> str:
    """The page as HTML."""
    shown = sorted(page.clusters, key=lambda c: (c.ready, not c.infeasible, c.namespace, c.name))[:MAX_CLUSTERS]
    left_out = len(page.clusters) - len(shown)
    more = f'<p class="dim">and {left_out} more, all of them like the last ones</p>' if left_out else ""
    clusters = _clusters(shown, page.hour_of) if page.leads else f'<p class="dim">{_STANDS_BY}</p>'
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>ray-operator</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="refresh" content="10">
<style>{STYLE}</style></head><body>
<header><h1>ray-operator</h1><span class="dim">{_text(page.version)} · {_text(page.namespaces)}</span>
{_badge("leads" if page.leads else "stands by", "good" if page.leads else "idle")}</header>
<main>{"".join(f'<p class="trouble">{_text(t)}</p>' for t in page.troubles)}
<section class="tiles">{_tiles(page)}</section>
{_last_hour(page.hour) if page.hour else ""}
<h2>Clusters</h2>
{clusters}{more}
<h2>Last decisions</h2>
{_decisions(page.decisions)}
</main></body></html>
"""


def _tiles(page: Page) -> str:
    tiles = {
        "clusters": len(page.clusters),
        "not ready": sum(not c.ready for c in page.clusters),
        "pods": sum(sum(c.nodes.values()) for c in page.clusters),
        "requests waiting": sum(c.pending for c in page.clusters),
        "infeasible": sum(c.infeasible for c in page.clusters),
        "in the queue": page.queue,
    }
    return "".join(f"<div><b>{value:,}</b><span>{name}</span></div>" for name, value in tiles.items())


def _last_hour(hour: Hour) -> str:
    figures = (
        ("Workers", (("ready", "ready"), ("wanted", "wanted")), plot.workers(hour), plot.said_workers(hour)),
        ("Demand", (("waiting", "waiting"),), plot.demand(hour), plot.said_demand(hour)),
        ("Latency", (("pod", "work to pod"), ("node", "pod to Ray node")), plot.latency(hour), plot.said_latency(hour)),
    )
    return f'<h2>Last hour</h2><section class="hour">{"".join(_figure(*figure) for figure in figures)}</section>'


def _figure(title: str, keys: Sequence[tuple[str, str]], drawing: str, said: str) -> str:
    legend = "".join(f'<span class="key {style}">{name}</span>' for style, name in keys)
    return (
        f"<figure><figcaption><b>{title}</b>{legend}</figcaption>{drawing}"
        f'<div class="axis"><span>1 h ago</span><span>now</span></div><p>{said}</p></figure>'
    )


def _clusters(rows: Sequence[ClusterRow], hour_of: Callable[[ClusterRow], Hour | None]) -> str:
    if not rows:
        return '<p class="dim">There is no RayCluster.</p>'
    head = ("Cluster", "Phase", "Workers", "Nodes", "Demand", "Latency", "Head answered", "Restarts")
    return _table("clusters", head, (_cluster(row, hour_of(row)) for row in rows))


def _cluster(row: ClusterRow, hour: Hour | None) -> Sequence[str]:
    kind = "good" if row.ready else "bad" if row.phase == "Error" else "warn"
    message = "" if row.ready or not row.message else f'<div class="why">{_text(row.message)}</div>'
    # A cluster that is suspended for want of use says so already.
    use = f'<div class="why dim">{_text(row.use)}</div>' if row.use and row.use != row.message else ""
    return (
        f'<b>{_text(row.name)}</b><div class="dim">{_text(row.namespace)}</div>',
        _badge(row.phase or "new", kind) + message + use,
        _workers(row, hour),
        _nodes(row.nodes),
        _demand(row, hour),
        _latency(hour),
        _head(row.answer_age),
        str(row.restarts),
    )


def _workers(row: ClusterRow, hour: Hour | None) -> str:
    drawing = plot.workers(hour, small=True) if hour else ""
    return f'<div class="line">{row.workers_ready} of {row.workers_desired}</div>{drawing}'


def _nodes(nodes: Mapping[tuple[str, str], int]) -> str:
    lines = (
        f'<div class="line">{count} {_text(kind)} <i>{_text(state)}</i></div>'
        for (kind, state), count in sorted(nodes.items())
    )
    return "".join(lines) or _NONE


def _demand(row: ClusterRow, hour: Hour | None) -> str:
    parts = [f'<div class="line">{row.pending:,} waiting</div>'] if row.pending else []
    if row.infeasible:
        parts.append(f'<div class="line bad">{row.infeasible:,} infeasible</div>')
    drawing = plot.demand(hour, small=True) if hour and plot.most(hour.waiting) else ""
    if not parts and drawing:
        parts.append('<div class="dim">none now</div>')
    return "".join(parts) + drawing or _NONE


def _latency(hour: Hour | None) -> str:
    slowest = plot.slowest(hour) if hour else None
    if hour is None or slowest is None:
        return _NONE
    return f'<div class="line">at most {plot.seconds(slowest)}</div>{plot.latency(hour, small=True)}'


def _head(age: float | None) -> str:
    return f'<span class="line{" dim" if age is None else ""}">{"no answer" if age is None else _ago(age)}</span>'


def _decisions(rows: Sequence[DecisionRow]) -> str:
    if not rows:
        return '<p class="dim">None since this process began.</p>'
    cells = ((_ago(row.ago), f"<b>{_text(row.cluster)}</b>", _text(row.what)) for row in rows)
    return _table("decisions", ("When", "Cluster", "What"), cells)


def _table(kind: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose rows are cards on a phone. With their display, elements lose their roles: so they are named."""
    titles = "".join(f'<th role="columnheader">{title}</th>' for title in head)
    body = "".join(f'<tr role="row">{"".join(map(_cell, head, row))}</tr>' for row in rows)
    return (
        f'<table role="table" class="{kind}"><thead role="rowgroup"><tr role="row">{titles}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>'
    )


def _cell(title: str, content: str) -> str:
    return f'<td role="cell" data-title="{title}">{content}</td>'


def _badge(text: str, kind: str) -> str:
    return f'<span class="badge {kind}">{_text(text)}</span>'


def _ago(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 5400 else f"{seconds / 3600:.0f} h ago"


def _text(text: str) -> str:
    shown = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return escape("".join(c if c.isprintable() else "�" for c in shown.encode(errors="replace").decode()))
