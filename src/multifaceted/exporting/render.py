"""The files beside a view's rows: training configuration, chat template, how to start. Pure text."""

from importlib import resources

from jinja2 import Environment, StrictUndefined

from multifaceted.exporting.settings import SETTINGS
from multifaceted.exporting.tasks import Task
from multifaceted.exporting.trainers import title_of
from multifaceted.exporting.view import View
from multifaceted.store.manifest import RunData

README = "README.md"


def render_files(
    view: View, *, trainer: str, task: Task, run: RunData, rows: dict[str, int], left_out: dict[str, int]
) -> dict[str, str]:
    """Every text file of an exported folder, by name; rows are counted by split, those left out by reason."""
    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - YAML, shell and Markdown
    )
    values = {
        "view": view,
        "trainer": trainer,
        "trainer_name": title_of(trainer),
        "task": task,
        "settings": SETTINGS[task],
        "run": run,
        "rows": rows,
        "left_out": left_out,
        "has_test": "test" in rows,
    }
    folder = resources.files("multifaceted") / "templates" / "views"
    texts = {}
    for name, source in (view.files | {README: "readme.md.j2"}).items():
        text = (folder / source).read_text(encoding="utf-8")
        # A chat template is a template of the trainer's, not of ours.
        texts[name] = environment.from_string(text).render(values) if source.endswith(".j2") else text
    return texts
