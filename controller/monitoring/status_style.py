"""How the status page looks: light and dark, wide and on a phone. The colours of plots are those of their legends."""

STYLE = """
:root { --ink: #1d2733; --dim: #5c6874; --line: #e1e6eb; --back: #f6f8fa; --card: #fff;
  --good: #116b3c; --warn: #8a5a00; --bad: #a4161a; --blue: #2f6fb5; --amber: #9a5b00; --violet: #7a55b8;
  color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --dim: #93a0ad; --line: #2b343d; --back: #12171c;
  --card: #1a2128; --good: #5fd497; --warn: #f0b54a; --bad: #ff8a80; --blue: #6aa9ea; --amber: #e0a040;
  --violet: #b196e8; } }
body { font: 14px/1.45 -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  color: var(--ink); background: var(--back); overflow-wrap: anywhere; margin: 0 auto; padding: 24px;
  max-width: 1200px; }
header { display: flex; align-items: baseline; gap: 4px 12px; flex-wrap: wrap; }
h1 { font-size: 22px; margin: 0; } h2 { font-size: 16px; margin: 28px 0 8px; }
.dim, i { color: var(--dim); font-style: normal; }
.tiles, .hour { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 10px; }
.tiles { margin-top: 18px; } .hour { grid-template-columns: repeat(auto-fit, minmax(min(280px, 100%), 1fr)); }
.tiles div, figure, table { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.tiles div, figure { padding: 10px 14px; margin: 0; }
.tiles b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; } .tiles span { color: var(--dim); }
figcaption { display: flex; flex-wrap: wrap; gap: 0 12px; margin-bottom: 8px; } figcaption b { margin-right: auto; }
.key::before { content: ""; display: inline-block; width: 10px; height: 10px; margin-right: 5px; border-radius: 2px;
  background: currentColor; }
.key.wanted::before { height: 0; border-top: 2px dashed; background: none; vertical-align: 3px; border-radius: 0; }
figure p { margin: 6px 0 0; color: var(--dim); } .axis { display: flex; justify-content: space-between; }
.axis { color: var(--dim); font-size: 12px; border-top: 1px solid var(--line); padding-top: 2px; }
.ready { color: var(--blue); } .wanted { color: var(--ink); } .waiting { color: var(--amber); }
.node { color: var(--violet); } .pod { color: var(--blue); }
.plot { display: block; width: 100%; height: 72px; overflow: visible; }
td .plot { width: 104px; height: 22px; margin-top: 4px; }
path { fill: currentColor; fill-opacity: .25; stroke: currentColor; vector-effect: non-scaling-stroke; }
path.line { fill: none; stroke-dasharray: 3 2; }
table { border-collapse: separate; border-spacing: 0; width: 100%; }
th { text-align: left; font-weight: 600; color: var(--dim); white-space: nowrap; } td { vertical-align: top; }
th, td { padding: 8px 10px; border-bottom: 1px solid var(--line); } tbody tr:last-child td { border-bottom: 0; }
.line { white-space: nowrap; }
.clusters td:nth-child(1), .clusters td:nth-child(2), .clusters td:nth-child(4) { min-width: 11.5em; }
.decisions td:first-child { white-space: nowrap; color: var(--dim); }
.badge { border: 1px solid; border-radius: 99px; padding: 1px 9px; font-size: 12px; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); } .idle { color: var(--dim); }
.why { margin-top: 4px; max-width: 38em; }
.trouble { color: var(--bad); border: 1px solid; border-radius: 8px; padding: 8px 12px; background: var(--card); }
@media (max-width: 900px) { body { padding: 16px; }
  table, tbody, tr, td { display: block; } table { background: none; border: 0; }
  thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  tbody tr { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 6px 0;
    margin-bottom: 10px; }
  td, tbody tr:last-child td { border: 0; padding: 3px 14px; }
  td:not(:first-child) { display: grid; grid-template-columns: 8em minmax(0, 1fr); }
  td:not(:first-child) > * { grid-column: 2; justify-self: start; }
  td:not(:first-child)::before { content: attr(data-title); color: var(--dim); grid-area: 1 / 1; }
  td:has(> .none) { display: none; } td .plot { width: 100%; max-width: 300px; height: 30px; } }
"""
