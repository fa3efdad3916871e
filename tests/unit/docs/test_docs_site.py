"""What the site makes of tables."""

from __future__ import annotations

import docs_site
import pytest

HEAD = "<thead>\n<tr>\n<th>a</th>\n<th>the <code>b</code></th>\n<th></th>\n</tr>\n</thead>"
TABLES = {
    "two columns stay": (
        "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>",
        [],
    ),
    "three are named in each cell": (
        f"<table>{HEAD}<tbody><tr><td>1</td><td>2</td><td>3</td></tr></tbody></table>",
        ['data-title="a">1<', 'data-title="the b">2<', 'data-title="">3<'],
    ),
    "what is left out is the one above": (
        f"<table>{HEAD}<tbody><tr><td>1</td><td>2</td><td></td></tr><tr><td></td><td>4</td><td>5</td></tr></tbody></table>",
        ['data-title="a"><span class="again">1</span><', 'data-title="">5<'],
    ),
}


@pytest.mark.parametrize(("html", "has"), TABLES.values(), ids=TABLES)
def test_cells_of_wide_tables_know_their_columns(html: str, has: list[str]) -> None:
    made = docs_site.with_titles(html)
    assert [part for part in has if part not in made] == []
    assert made.count("role=") == (0 if not has else 1 + made.count("<tr ") + made.count("<th ") + made.count("<td "))
