"""What the site has beyond its pages: files of the checkout that they link to, tables for phones, outputs that wrap."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
# A link from a page to something beside docs/, for example ](../manifests/example_cluster.yaml#head).
OUTSIDE = re.compile(r"\]\(\.\./([^)#\s]+)(#[^)\s]*)?\)")
# Files of the checkout that are pages of the site, and under which name. The site has a start page of its own.
START = {"README.md": "index.md"}
ADDED = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
PAGES = START | ADDED
# A link in such a file to a page of docs/, or to another of these files.
TO_PAGE = re.compile(r"\]\((?:docs/([^)\s]+)|([A-Z]+\.md)(?:#[^)\s]*)?)\)")
# Pages whose outputs are sentences: they wrap. Outputs that are tables keep their lines.
SENTENCES = {"when-a-raycluster-is-wrong.md"}
TABLE = re.compile(r"<table>(.*?)</table>", re.S)
TITLE = re.compile(r"<th\b[^>]*>(.*?)</th>", re.S)
ROW = re.compile(r"<tr>(.*?)</tr>", re.S)
CELL = re.compile(r"<td[^>]*>(.*?)</td>", re.S)
# So many columns do not fit a phone.
WIDE = 3


def linked(text: str) -> list[str]:
    """The files outside docs/ that a page links to, as paths in the checkout."""
    return [found.group(1) for found in OUTSIDE.finditer(text)]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that pages link to; those that are not there stay broken links, which fails the build."""
    for path, page in ADDED.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    wanted = {path for page in files.documentation_pages() for path in linked(page.content_string)}
    for path in sorted(wanted - PAGES.keys()):
        if (ROOT / path).is_file():
            files.append(File.generated(config, f"files/{path}.txt", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Point links to the copies, and those of added pages to the pages of the site."""
    if page.file.src_uri in ADDED.values():
        markdown = TO_PAGE.sub(lambda m: f"]({m.group(1) or PAGES[m.group(2)]})", markdown)
    return OUTSIDE.sub(lambda m: f"]({PAGES.get(m.group(1), f'files/{m.group(1)}.txt')})", markdown)


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Name the columns in the cells of wide tables: on a phone their rows are cards."""
    html = with_titles(html)
    return f'<div class="sentences">{html}</div>' if page.file.src_uri in SENTENCES else html


def with_titles(html: str) -> str:
    """The page, with the columns' names in the cells of its wide tables."""
    return TABLE.sub(lambda found: _titled(found.group()), html)


def _titled(table: str) -> str:
    titles = [re.sub(r"<[^>]+>", "", title).strip() for title in TITLE.findall(table)]
    if len(titles) < WIDE:
        return table
    above = ""

    def row(found: re.Match[str]) -> str:
        nonlocal above
        cells = CELL.findall(found.group(1))
        if not cells:
            return '<tr role="row">' + found.group(1).replace("<th>", '<th role="columnheader">') + "</tr>"
        # What is left out below its like is missing in a card.
        above = cells[0] or above
        cells[0] = cells[0] or f'<span class="again">{above}</span>'
        named = zip(titles, cells, strict=True)
        shown = "".join(f'<td role="cell" data-title="{escape(title)}">{cell}</td>' for title, cell in named)
        return f'<tr role="row">{shown}</tr>'

    return ROW.sub(row, table).replace("<table>", '<table role="table">')
