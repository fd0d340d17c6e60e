"""The report as a chart: a panel of bars for each scenario, in SVG that needs nothing else.

A bar is as long as the median, on a scale of the panel's own; the thin line at its end goes from
the least to the most of the rounds. Colours follow the reader's preference for light or dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.comparing.page import number
from benchmarks.comparing.report import Report, Section

STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 15px; }
.unit { fill: #59636e; }
.bar { fill: #9aa4b0; }
.ours { fill: #0969da; }
.spread { stroke: #1f2328; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .unit { fill: #9198a1; }
  .bar { fill: #656c76; }
  .ours { fill: #4493f8; }
  .spread { stroke: #e6edf3; }
}
"""

COLUMNS = 2
PANEL = 440
LABELS = 180
BARS = 195
LINE = 22
HEAD = 52
GAP = 24


def bar(section: Section, label: str, top: float, scale: float) -> Iterator[str]:
    """The line of a server."""
    value = section.figure(label, section.scenario.compared)
    kind = "bar ours" if is_ours(label) else "bar"
    middle, length = top + LINE / 2, value.median * scale
    least, most = (LABELS + each * scale for each in (value.least, value.most))
    yield f'<text x="{LABELS - 8}" y="{middle + 4.5:g}" text-anchor="end">{escape(label)}</text>'
    yield f'<rect class="{kind}" x="{LABELS}" y="{top + 3:g}" width="{length:.1f}" height="16"/>'
    yield (
        f'<line class="spread" x1="{least:.1f}" y1="{middle:g}" x2="{most:.1f}" y2="{middle:g}"/>'
    )
    yield f'<text x="{most + 6:.1f}" y="{middle + 4.5:g}">{number(value.median)}</text>'


def is_ours(label: str) -> bool:
    """Whether a server is mynet, or runs on its reactor."""
    return label.startswith("mynet") or "uv reactor" in label


def panel(section: Section, left: float, top: float) -> Iterator[str]:
    """The scenario of a section, and a bar for each of its servers."""
    scenario = section.scenario
    unit = f"{scenario.unit} {scenario.compared}" if scenario.load else scenario.compared
    better = "less is better" if scenario.less_is_better else "more is better"
    longest = max(section.figure(label, scenario.compared).most for label in section.rows)
    yield f'<g transform="translate({left:g} {top:g})">'
    yield f'<text class="title" y="16">{escape(scenario.title)}</text>'
    yield f'<text class="unit" y="36">{escape(unit)}, {better}</text>'
    for index, label in enumerate(section.rows):
        yield from bar(section, label, HEAD - 4 + index * LINE, BARS / longest)
    yield "</g>"


def height_of(section: Section) -> float:
    """How high a panel is, with the space below it."""
    return HEAD + len(section.rows) * LINE + GAP


def columns_of(sections: Sequence[Section]) -> list[list[Section]]:
    """Sections in their order, each in the column that is the shortest so far."""
    columns: list[list[Section]] = [[] for _ in range(COLUMNS)]
    for section in sections:
        min(columns, key=lambda column: sum(map(height_of, column))).append(section)
    return columns


def render(report: Report) -> str:
    """The chart."""
    columns = columns_of([section for section in report.sections if section.rows])
    width = COLUMNS * PANEL + (COLUMNS + 1) * GAP
    height = GAP + max(sum(map(height_of, column)) for column in columns)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" role="img">',
        "<title>mynet beside its peers</title>",
        f"<style>\n{STYLE}</style>",
    ]
    for index, column in enumerate(columns):
        top: float = GAP
        for section in column:
            lines += panel(section, GAP + index * (PANEL + GAP), top)
            top += height_of(section)
    return "\n".join([*lines, "</svg>\n"])
