"""The status page: what the operator knows and did last, as one read-only HTML page without scripts. Pure.

Everything that is shown may have been chosen by an attacker, so everything goes through ``_text``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

# More rows make a page that is not read; those that need attention come first.
MAX_CLUSTERS = 200
MAX_TEXT = 300


@dataclass(frozen=True)
class ClusterRow:
    """One cluster. ``nodes``: (type, state) -> number. ``answer_age``: seconds since the head's last answer."""

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


@dataclass(frozen=True)
class DecisionRow:
    """One thing that was done, ``ago`` seconds ago."""

    ago: float
    cluster: str
    what: str


@dataclass(frozen=True)
class Page:
    """All that is shown. ``troubles`` are sentences about the process itself."""

    version: str
    namespaces: str
    leads: bool
    troubles: Sequence[str]
    queue: int
    clusters: Sequence[ClusterRow]
    decisions: Sequence[DecisionRow]


def render(page: Page) -> str:
    """The page as HTML."""
    shown = sorted(page.clusters, key=lambda c: (c.ready, not c.infeasible, c.namespace, c.name))[:MAX_CLUSTERS]
    left_out = len(page.clusters) - len(shown)
    more = f'<p class="dim">and {left_out} more, all of them like the last ones</p>' if left_out else ""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>ray-operator</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="refresh" content="10">
<style>{_STYLE}</style></head><body>
<header><h1>ray-operator</h1><span class="dim">{_text(page.version)} · {_text(page.namespaces)}</span>
{_badge("leads" if page.leads else "stands by", "good" if page.leads else "idle")}</header>
{"".join(f'<p class="trouble">{_text(t)}</p>' for t in page.troubles)}
<section class="tiles">{_tiles(page)}</section>
<h2>Clusters</h2>
{_clusters(shown) if page.leads else '<p class="dim">The replica that leads shows them.</p>'}{more}
<h2>Last decisions</h2>
{_decisions(page.decisions)}
</body></html>
"""


def _tiles(page: Page) -> str:
    tiles = {
        "clusters": len(page.clusters),
        "not ready": sum(not c.ready for c in page.clusters),
        "pods": sum(sum(c.nodes.values()) for c in page.clusters),
        "requests waiting": sum(c.pending for c in page.clusters),
        "never possible": sum(c.infeasible for c in page.clusters),
        "in the queue": page.queue,
    }
    return "".join(f"<div><b>{value:,}</b><span>{name}</span></div>" for name, value in tiles.items())


def _clusters(rows: Sequence[ClusterRow]) -> str:
    if not rows:
        return '<p class="dim">There is no RayCluster.</p>'
    head = ("Cluster", "Phase", "Workers", "Nodes", "Demand", "Head answered", "Restarts")
    return _table(head, (_cluster(row) for row in rows))


def _cluster(row: ClusterRow) -> str:
    kind = "good" if row.ready else "bad" if row.phase == "Error" else "warn"
    message = "" if row.ready or not row.message else f'<div class="why">{_text(row.message)}</div>'
    cells = (
        f'<b>{_text(row.name)}</b><div class="dim">{_text(row.namespace)}</div>',
        _badge(row.phase or "new", kind) + message,
        f"{row.workers_ready} of {row.workers_desired}",
        _nodes(row.nodes),
        _demand(row),
        _head(row.answer_age),
        str(row.restarts),
    )
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _nodes(nodes: Mapping[tuple[str, str], int]) -> str:
    lines = (
        f'<div class="line">{count} {_text(kind)} <i>{_text(state)}</i></div>'
        for (kind, state), count in sorted(nodes.items())
    )
    return "".join(lines) or '<span class="dim">none</span>'


def _demand(row: ClusterRow) -> str:
    parts = [f'<div class="line">{row.pending:,} waiting</div>'] if row.pending else []
    if row.infeasible:
        parts.append(f'<div class="line bad">{row.infeasible:,} never possible</div>')
    return "".join(parts) or '<span class="dim">none</span>'


def _head(age: float | None) -> str:
    return f'<span class="line{" dim" if age is None else ""}">{"no answer" if age is None else _ago(age)}</span>'


def _decisions(rows: Sequence[DecisionRow]) -> str:
    if not rows:
        return '<p class="dim">None since this process began.</p>'
    cells = (
        f'<td class="dim line">{_ago(row.ago)}</td><td class="line">{_text(row.cluster)}</td><td>{_text(row.what)}</td>'
        for row in rows
    )
    return _table(("When", "Cluster", "What"), cells)


def _table(head: Iterable[str], rows: Iterable[str]) -> str:
    titles = "".join(f"<th>{title}</th>" for title in head)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="card"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'


def _badge(text: str, kind: str) -> str:
    return f'<span class="badge {kind}">{_text(text)}</span>'


def _ago(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 5400 else f"{seconds / 3600:.0f} h ago"


def _text(text: str) -> str:
    shown = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    return escape("".join(c if c.isprintable() else "�" for c in shown.encode(errors="replace").decode()))


_STYLE = """
:root { --ink: #1d2733; --dim: #66727f; --line: #e1e6eb; --back: #f6f8fa; --card: #fff;
  --good: #116b3c; --warn: #8a5a00; --bad: #a4161a; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --dim: #93a0ad; --line: #2b343d; --back: #12171c;
  --card: #1a2128; --good: #5fd497; --warn: #f0b54a; --bad: #ff8a80; } }
body { font: 14px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink); background: var(--back);
  margin: 0 auto; max-width: 1200px; padding: 24px; }
header { display: flex; align-items: baseline; gap: 12px; flex-wrap: wrap; }
h1 { font-size: 22px; margin: 0; } h2 { font-size: 16px; margin: 28px 0 8px; }
.dim, i { color: var(--dim); font-style: normal; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 10px; margin-top: 18px; }
.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.tiles b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; } .tiles span { color: var(--dim); }
.card { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; color: var(--dim); } td { vertical-align: top; overflow-wrap: break-word; }
th, .line { white-space: nowrap; } td:first-child { min-width: 10em; }
th, td { padding: 8px 12px; border-bottom: 1px solid var(--line); } tbody tr:last-child td { border-bottom: 0; }
.badge { border: 1px solid; border-radius: 99px; padding: 1px 9px; font-size: 12px; white-space: nowrap; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); } .idle { color: var(--dim); }
.why { margin-top: 4px; min-width: 22em; max-width: 38em; overflow-wrap: anywhere; }
.trouble { color: var(--bad); border: 1px solid; border-radius: 8px; padding: 8px 12px; background: var(--card); }
"""
