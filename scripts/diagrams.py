#!/usr/bin/env python3
"""Draws the diagrams of the documentation: docs/images/installations.svg and docs/images/scaling-down.svg."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

IMAGES = Path(__file__).resolve().parent.parent / "docs/images"
INK, LINE, PAPER, FILL = "#1f2d35", "#546e7a", "#fafbfc", "#e3eef4"
LEADING = 20
OPERATOR = "operator"


class Drawing:
    """Boxes, lines of text and arrows on a sheet. Coordinates are in pixels from the top left."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
                f'font-size="15">\n  <title>{escape(title)}</title>'
            ),
            (
                f'  <defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
                f'orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" fill="{LINE}"/></marker></defs>'
            ),
            f'  <rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>',
        ]

    def text(self, x: int, y: int, words: str, *, bold: bool = False, colour: str = INK) -> None:
        """One line, by the left end of its foot."""
        weight = ' font-weight="bold"' if bold else ""
        self._parts.append(f'  <text x="{x}" y="{y}"{weight} fill="{colour}">{escape(words)}</text>')

    def box(self, x: int, y: int, width: int, height: int, lines: Sequence[str] = (), *, fill: str = "#fff") -> None:
        """A box with lines of text, of which a name in front is bold."""
        self._parts.append(
            f'  <rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" stroke="{LINE}" '
            'stroke-width="1.5"/>'
        )
        top = y + (height - LEADING * len(lines)) // 2 + 15
        for number, line in enumerate(lines):
            self.text(x + 16, top + LEADING * number, line, bold=line == OPERATOR)

    def frame(self, x: int, y: int, width: int, height: int, name: str) -> None:
        """A namespace: a box of dashes with its name."""
        self._parts.append(
            f'  <rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="none" stroke="{LINE}" '
            'stroke-dasharray="5 4"/>'
        )
        self.text(x + 12, y + 22, name, colour=LINE)

    def arrow(self, path: str, words: str = "", at: tuple[int, int] = (0, 0)) -> None:
        """Along a path of SVG, with words beside it."""
        self._parts.append(f'  <path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.5" marker-end="url(#a)"/>')
        if words:
            self.text(*at, words, colour=LINE)

    def __str__(self) -> str:
        return "\n".join([*self._parts, "</svg>\n"])


def installations() -> Drawing:
    """Where the operator runs and what it watches, for each of the three."""
    drawing = Drawing(
        880, 590, "The three installations: all in one, for the whole Kubernetes cluster, for a namespace"
    )
    drawing.text(40, 40, "All in one: one release", bold=True)
    drawing.frame(40, 55, 250, 95, "namespace default")
    drawing.box(60, 90, 210, 44, [OPERATOR], fill=FILL)
    drawing.frame(440, 55, 400, 95, "namespace ray")
    drawing.box(460, 90, 360, 44, ["RayCluster example-cluster"])
    drawing.arrow("M270 112H458", "watches all", (315, 104))
    drawing.text(40, 200, "For the whole Kubernetes cluster: operatorOnly=true, and clusterOnly=true", bold=True)
    drawing.frame(40, 215, 250, 150, "namespace ray-system")
    drawing.box(60, 265, 210, 60, [OPERATOR, "a ClusterRole"], fill=FILL)
    for y, name, clusters in ((215, "team-a", "RayClusters of team a"), (295, "team-b", "RayClusters of team b")):
        drawing.frame(440, y, 400, 70, f"namespace {name}")
        drawing.box(620, y + 14, 200, 42, [clusters])
        drawing.arrow(f"M270 295C360 295 360 {y + 35} 618 {y + 35}")
    drawing.text(318, 240, "watches all", colour=LINE)
    drawing.text(40, 415, "For a namespace: namespacedOperator=true, a release in each", bold=True)
    for y, name in ((430, "team-a"), (510, "team-b")):
        drawing.frame(40, y, 800, 66, f"namespace {name}")
        drawing.box(215, y + 10, 215, 48, [OPERATOR, "a Role of this namespace"], fill=FILL)
        drawing.box(640, y + 12, 180, 42, ["its RayClusters"])
        drawing.arrow(f"M430 {y + 33}H638", "watches its namespace", (445, y + 26))
    return drawing


def scaling_down() -> Drawing:
    """From an idle worker to its pod's end, and what keeps it."""
    questions = (
        (["Has it been idle for idleTimeoutMinutes?"], ["it works, or holds objects", "that something refers to"]),
        (["Could waiting work use it?"], ["it stays: a new one would be", "launched for that work"]),
        (["Does request_resources() ask for it?"], ["it stays until the program", "takes the request back"]),
        (["Does its type stay at minWorkers without it?"], ["it stays: lower minWorkers", "to let it go"]),
        (["Is the head's answer younger than 5 s?"], ["it stays until the head", "answers again"]),
        (["Does Ray agree to drain it?"], ["it has got work meanwhile,", "and goes on with it"]),
    )
    keeps = ("no", "yes", "yes", "no", "no", "no")
    drawing = Drawing(880, 60 + 90 * len(questions) + 70, "From an idle worker to the end of its pod, step by step")
    drawing.text(40, 40, "Ray says that a worker is idle", bold=True)
    for number, ((question, answer), keep) in enumerate(zip(questions, keeps, strict=True)):
        y = 60 + 90 * number
        drawing.box(40, y, 370, 60, question)
        drawing.box(520, y, 330, 60, answer, fill=FILL)
        drawing.arrow(f"M410 {y + 30}H518", keep, (448, y + 24))
        drawing.arrow(f"M225 {y + 60}V{y + 88}", "yes" if keep == "no" else "no", (237, y + 80))
    drawing.text(
        60, 60 + 90 * len(questions) + 24, "The worker takes no new work, its Ray node ends, and its pod is deleted."
    )
    return drawing


def main() -> None:
    """Write the files."""
    for name, drawing in (("installations", installations()), ("scaling-down", scaling_down())):
        (IMAGES / f"{name}.svg").write_text(str(drawing))


if __name__ == "__main__":
    main()
