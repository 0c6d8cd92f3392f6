"""The report: one HTML page that needs no network, its figures as files, and the numbers as JSON.

write_report(Path("run"), Path("report"))

report/index.html  statistics.json  figures/sunburst.svg  figures/sunburst.png  …
"""

import importlib.util
import json
import logging
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from multifaceted.building.source import RowSource, RunSource
from multifaceted.extras import import_extra
from multifaceted.reporting.browser import pick_rows
from multifaceted.reporting.coverage import Leaf
from multifaceted.reporting.rows import open_rows
from multifaceted.reporting.statistics import Statistics, measure
from multifaceted.store.output_folder import Owned, read_record, replaced_output, write_record
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import read_status
from multifaceted.taxonomy import Taxonomy

logger = logging.getLogger(__name__)

PAGE, NUMBERS, FIGURES = "index.html", "statistics.json", "figures"
MOST_LISTED = 15  # preferences in the lists of over- and under-used and coined ones


def write_report(
    folder: Path,
    out: Path,
    *,
    taxonomy: Taxonomy | None = None,
    rows: int = 300,
    curated: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> Statistics:
    """Measure a run or a built folder and write the report.

    Args:
        folder: a run folder, whole or at work, or a built folder.
        out: where to write; the files of an earlier report there are replaced, and no others; what was edited
            by hand is kept aside.
        taxonomy: the one the rows were made with; None leaves out what it offers and nobody used.
        rows: about how many rows the page shows; the numbers are of all.
        curated: leave out the rows that a run's curation drops, where it has one.
        tell: called with what is being done.

    Raises:
        StorageError: where there are no rows, or something else is in the way at `out`.
        SetupError: where the extra `report` is not installed.
    """
    figures = _import_figures()
    with replaced_output(out, command="report", inputs=[folder], read_owned=_read_owned) as fresh:
        tell("reading")
        source = open_rows(folder, curated=curated)
        tell("measuring")
        found = measure(source, taxonomy)
        found.usd = _read_cost(source)
        tell("drawing")
        drawn = figures.draw_figures(found)
        page = _render_page(found, drawn, pick_rows(source, rows), ink=figures.INK, paper=figures.PAPER)
        tell("writing")
        for figure in (figure for figure in drawn if not figure.fault):
            (fresh / FIGURES).mkdir(exist_ok=True)
            (fresh / FIGURES / f"{figure.name}.svg").write_text(figure.svg, encoding="utf-8")
            (fresh / FIGURES / f"{figure.name}.png").write_bytes(figure.png)
        numbers = json.dumps(found.as_dict(), ensure_ascii=False, indent=1)
        (fresh / NUMBERS).write_text(numbers, encoding="utf-8")
        (fresh / PAGE).write_text(page, encoding="utf-8")
        write_record(fresh, "report")
    for figure in drawn:
        if figure.fault:
            logger.warning("the figure %r could not be drawn: %s", figure.title, figure.fault)
    return found


def _read_owned(folder: Path) -> Owned | None:
    return read_record(folder, "report")


def _import_figures() -> Any:
    figures = import_extra("multifaceted.reporting.figures", "report", "a report")
    if importlib.util.find_spec("vl_convert") is None:  # only the process that draws imports it
        import_extra("vl_convert", "report", "a report")
    return figures


def _read_cost(source: RowSource) -> float | None:
    """Return what the run cost so far; a built folder has no journal to tell."""
    if not isinstance(source, RunSource):
        return None
    status = read_status(RunFolder(source.path))
    return None if status.unpriced else status.usd


def _render_page(
    found: Statistics, drawn: list[Any], rows: list[dict[str, Any]], *, ink: str, paper: str
) -> str:
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=True
    )
    environment.filters["number"] = _format_number
    template = (resources.files("multifaceted") / "templates" / "report.html.j2").read_text(encoding="utf-8")
    svgs = {
        figure.name: Markup(figure.svg.replace(ink, "currentColor").replace(paper, "var(--paper)"))  # noqa: S704
        for figure in drawn
        if not figure.fault
    }
    used, unused, coined = _rank_preferences(found.coverage)
    return environment.from_string(template).render(
        found=found,
        figures=drawn,
        svgs=svgs,
        used=used[:MOST_LISTED],
        unused=unused,
        coined=coined[:MOST_LISTED],
        rows=rows,
        data=_embed_json(rows),
    )


def _rank_preferences(leaves: list[Leaf]) -> tuple[list[Leaf], list[Leaf], list[Leaf]]:
    """Most used first, unused, coined."""
    used = sorted((leaf for leaf in leaves if leaf.known and leaf.rows), key=lambda leaf: -leaf.rows)
    unused = [leaf for leaf in leaves if leaf.known and not leaf.rows]
    return used, unused, [leaf for leaf in leaves if not leaf.known]


def _embed_json(rows: list[dict[str, Any]]) -> Markup:
    """JSON that cannot end the script element that holds it, whatever the texts say."""
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    safe = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return Markup(safe)  # noqa: S704 - nothing in it is markup any more


def _format_number(value: float | None, digits: int = 0) -> str:
    return "unknown" if value is None else f"{value:,.{digits}f}"
