"""Charts of the statistics, as Vega-Lite through Altair: `draw_figures(statistics)`.

Each comes as SVG and as PNG. Ink is one exact color, which the page replaces by the reader's text color.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import altair as alt

from multifaceted.reporting.coverage import Leaf
from multifaceted.reporting.drawing import Drawer, DrawingError
from multifaceted.reporting.rows import TEXTS
from multifaceted.reporting.statistics import BINS, Statistics

INK = "#123123"  # the page looks for it
PAPER = "#ffffff"  # between the arcs of the sunburst, and behind a PNG
# Okabe and Ito's colors, which people with any color vision tell apart.
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
WIDTH = 560  # pixels
RINGS = ((48.0, 108.0), (110.0, 178.0), (180.0, 236.0))  # inner and outer radius, in pixels
PNG_SCALE = 2.0
MOST_BARS = 20
COINED = "coined by the model"
ABOVE = alt.Header(labelOrient="top", labelAnchor="start", labelPadding=3)


@dataclass(frozen=True, slots=True)
class Figure:
    """One chart. `summary` says in words what it shows, for those who cannot see it."""

    name: str  # of its files
    title: str
    summary: str
    svg: str = ""
    png: bytes = b""
    fault: str = ""  # why it could not be drawn; the summary tells what it would show


def draw_figures(statistics: Statistics) -> list[Figure]:
    """Return all charts for which there is something to show, in the order of the page."""
    with Drawer() as drawer:
        return [
            _render(drawer, Figure(name, title, summary), chart)
            for name, title, draw in FIGURES
            for summary, chart in draw(statistics)
        ]


Drawn = Iterator[tuple[str, alt.TopLevelMixin]]


def _draw_sunburst(found: Statistics) -> Drawn:
    if not any(leaf.known for leaf in found.coverage):
        return  # without the taxonomy there is nothing to compare with
    arcs = list(_arcs(found.coverage))
    used = [leaf for leaf in found.coverage if leaf.rows and leaf.known]
    known = sum(leaf.known for leaf in found.coverage)
    coined = len(found.coverage) - known
    summary = (
        f"{len(used):,} of {known:,} preferences of the taxonomy are used; {coined:,} more were coined. "
        "Rings from the inside: dimension, subdimension, preference. The fainter, the less used."
    )
    base = alt.Chart(alt.InlineData(values=arcs)).encode(
        theta=alt.Theta("start:Q", scale=None), theta2=alt.Theta2("end:Q")
    )
    rings = base.mark_arc(stroke=PAPER, strokeWidth=0.4).encode(
        radius=alt.Radius("inner:Q", scale=None),
        radius2=alt.Radius2("outer:Q"),
        color=alt.Color("dimension:N", scale=_colors([leaf.dimension for leaf in found.coverage])),
        opacity=alt.Opacity("weight:Q", scale=alt.Scale(domain=[0, 1], range=[0.12, 1.0]), legend=None),
        tooltip=["path:N", "rows:Q"],
    )
    labels = (
        alt.Chart(alt.InlineData(values=[arc for arc in arcs if arc["label"]]))
        .mark_text(fontSize=8, limit=66, color=INK)
        .encode(
            theta=alt.Theta("middle:Q", scale=None),
            radius=alt.Radius("center:Q", scale=None),
            angle=alt.Angle("turn:Q", scale=None),
            text="label:N",
        )
    )
    chart = (rings + labels).properties(width=500, height=500)
    yield summary, chart


def _arcs(leaves: list[Leaf]) -> Iterator[dict[str, Any]]:
    """Known preferences get equal angles, so that a gap in use is seen; coined ones share one per branch."""
    paths: dict[tuple[str, ...], int] = {}
    for leaf in leaves:
        names = (leaf.subdimension, leaf.preference) if leaf.known else (COINED, COINED)
        branch = (leaf.dimension, *names)
        paths[branch] = paths.get(branch, 0) + leaf.rows
    dimensions = list(dict.fromkeys(leaf.dimension for leaf in leaves))
    ordered = sorted(paths, key=lambda path: (dimensions.index(path[0]), path[1] == COINED, path[1:]))
    step = math.tau / len(ordered)
    for level, (inner_radius, outer_radius) in enumerate(RINGS):
        groups: dict[tuple[str, ...], list[int]] = {}
        for number, path in enumerate(ordered):
            groups.setdefault(path[: level + 1], []).append(number)
        rows = {key: sum(paths[ordered[n]] for n in members) for key, members in groups.items()}
        typical = max(1.0, 2 * sum(rows.values()) / len(rows))
        for key, members in groups.items():
            middle = (members[0] + len(members) / 2) * step
            yield {
                "dimension": key[0],
                "path": " → ".join(key),
                "rows": rows[key],
                "weight": min(1.0, rows[key] / typical) if level else 1.0,
                "start": members[0] * step,
                "end": (members[-1] + 1) * step,
                "inner": inner_radius,
                "outer": outer_radius,
                "label": key[-1] if level == 1 and len(members) > 1 else "",
                "middle": middle,
                "center": (inner_radius + outer_radius) / 2,
                "turn": math.degrees(middle) - 90 if middle < math.pi else math.degrees(middle) + 90,
            }


def _draw_funnel(found: Statistics) -> Drawn:
    steps = [("planned", found.counts["planned"]), ("ok", found.counts["ok"])]
    steps += [(f"failed: {kind}", rows) for kind, rows in found.failures.items()]
    steps += [(f"dropped: {reason}", rows) for reason, rows in found.dropped.items()]
    steps += [("kept", found.kept)] if found.dropped else []
    steps += [("pending", found.counts["pending"])] if found.counts["pending"] else []
    words = ", ".join(f"{name} {rows:,}" for name, rows in steps)
    yield f"Rows: {words}.", _bars(steps)


def _draw_sources(found: Statistics) -> Drawn:
    ranked = list(found.sources.items())
    shown = [(name or "(not named)", rows) for name, rows in ranked[:MOST_BARS]]
    rest = sum(rows for _, rows in ranked[MOST_BARS:])
    shown += [(f"{len(ranked) - MOST_BARS} others", rest)] if rest else []
    first = shown[0]
    count = "1 source" if len(ranked) == 1 else f"{len(ranked):,} sources"
    yield f"{count}; the largest is {first[0]} with {first[1]:,} rows.", _bars(shown)


def _draw_lengths(found: Statistics) -> Drawn:
    labels = [f"≤ {bound:,}" for bound in BINS] + [f"> {BINS[-1]:,}"]
    values = [
        {"field": name, "characters": label, "texts": rows}
        for name in TEXTS
        for label, rows in zip(labels, found.lengths[name].bins, strict=True)
    ]
    middle = ", ".join(f"{name} {found.lengths[name].quantiles['0.5']:,.0f}" for name in TEXTS)
    chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar()
        .encode(
            x=alt.X("characters:N", sort=labels, title="characters"),
            y=alt.Y("texts:Q", title="rows", axis=alt.Axis(format=",d", tickCount=4, tickMinStep=1)),
            color=alt.Color("field:N", scale=_colors(TEXTS), legend=None),
            row=alt.Row("field:N", sort=list(TEXTS), title=None, header=ABOVE),
        )
        .properties(width=WIDTH - 90, height=90)
    )
    yield f"Median length in characters: {middle}.", chart


def _draw_tokens(found: Statistics) -> Drawn:
    values = [
        {"stage": stage, "kind": kind, "tokens": spent.get(kind, 0)}
        for stage, spent in found.tokens.items()
        for kind in ("prompt", "completion")
    ]
    total = sum(int(str(value["tokens"])) for value in values)
    chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar()
        .encode(
            y=alt.Y("stage:N", sort=list(found.tokens), title=None),
            x=alt.X("tokens:Q", axis=alt.Axis(format="~s"), title="tokens of the rows"),
            color=alt.Color("kind:N", scale=_colors(("prompt", "completion"))),
        )
        .properties(width=WIDTH - 160, height=110)
    )
    yield f"{total:,} tokens in all, in the replies that the rows are made of.", chart


def _draw_rouge(found: Statistics) -> Drawn:
    groups = {"responses to one instruction": found.rouge_responses}
    groups |= {f"descriptions, {name}": spread for name, spread in found.rouge_descriptions.items()}
    known = {name: spread for name, spread in groups.items() if spread and spread.mean is not None}
    if not known:
        return
    values = [
        {"group": name, "rouge": number / 10, "end": (number + 1) / 10, "share": count / spread.n}
        for name, spread in known.items()
        for number, count in enumerate(spread.histogram)
    ]
    means = ", ".join(f"{name} {spread.mean:.2f}" for name, spread in known.items())
    chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar()
        .encode(
            x=alt.X("rouge:Q", bin="binned", title="ROUGE-L between two texts (1: the same words)"),
            x2="end:Q",
            y=alt.Y("share:Q", axis=alt.Axis(format="%", tickCount=3), title=None),
            color=alt.Color("group:N", scale=_colors(known), legend=None),
            row=alt.Row("group:N", sort=list(known), title=None, header=ABOVE),
        )
        .properties(width=WIDTH - 90, height=56)
    )
    yield f"Mean ROUGE-L: {means}. Low means diverse.", chart


FIGURES: tuple[tuple[str, str, Callable[[Statistics], Drawn]], ...] = (
    ("sunburst", "What of the taxonomy is used", _draw_sunburst),
    ("funnel", "What became of the planned rows", _draw_funnel),
    ("sources", "Where the instructions are from", _draw_sources),
    ("lengths", "How long the texts are", _draw_lengths),
    ("tokens", "Tokens by stage", _draw_tokens),
    ("diversity", "How much the texts resemble each other", _draw_rouge),
)


def _bars(pairs: list[tuple[str, int]]) -> alt.TopLevelMixin:
    values = [{"name": name, "count": count} for name, count in pairs]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        y=alt.Y("name:N", sort=[name for name, _ in pairs], title=None),
        x=alt.X("count:Q", title="rows", axis=alt.Axis(format=",d", tickCount=5, tickMinStep=1)),
    )
    numbers = base.mark_text(align="left", dx=4, color=INK).encode(text=alt.Text("count:Q", format=","))
    chart = alt.layer(base.mark_bar(color=COLORS[0]), numbers)
    return chart.properties(width=WIDTH - 230, height=alt.Step(20))


def _colors(names: Any) -> alt.Scale:
    domain = list(dict.fromkeys(names))
    return alt.Scale(domain=domain, range=[COLORS[n % len(COLORS)] for n in range(len(domain))])


def _render(drawer: Drawer, figure: Figure, chart: alt.TopLevelMixin) -> Figure:
    text = {"labelColor": INK, "titleColor": INK}
    lines = {"domainColor": INK, "tickColor": INK, "gridColor": INK, "gridOpacity": 0.15}
    config = {
        "font": "sans-serif",
        "axis": {**text, **lines, "labelLimit": 190},
        "legend": {**text, "orient": "bottom", "title": None},
        "header": {**text, "labelLimit": 190},
        "view": {"stroke": None},
        "background": None,
    }
    try:
        svg, png = drawer.draw({**chart.to_dict(), "config": config}, paper=PAPER, scale=PNG_SCALE)
    except DrawingError as error:
        return replace(figure, fault=str(error))
    return replace(figure, svg=svg, png=png)
