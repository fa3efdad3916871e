"""Puts files of the checkout that pages link to into the site, so that such links work there too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
# A link from a page to something beside docs/, for example ](../manifests/example_cluster.yaml#head).
OUTSIDE = re.compile(r"\]\(\.\./([^)#\s]+)(#[^)\s]*)?\)")
# Pages of the checkout that the site has under another name.
PAGES = {"README.md": "index.md"}


def linked(text: str) -> list[str]:
    """The files outside docs/ that a page links to, as paths in the checkout."""
    return [found.group(1) for found in OUTSIDE.finditer(text)]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that pages link to; those that are not there stay broken links, which fails the build."""
    wanted = {path for page in files.documentation_pages() for path in linked(page.content_string)}
    for path in sorted(wanted - PAGES.keys()):
        if (ROOT / path).is_file():
            files.append(File.generated(config, f"files/{path}.txt", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point links to the copies."""
    return OUTSIDE.sub(lambda m: f"]({PAGES.get(m.group(1), f'files/{m.group(1)}.txt')})", markdown)
