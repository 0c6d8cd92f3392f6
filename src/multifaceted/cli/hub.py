"""`push` and `pull`: to the Hub and back."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import multifaceted as mf
from multifaceted.cli.options import Json
from multifaceted.errors import InputError, Problem
from multifaceted.terminal import show

if TYPE_CHECKING:
    from multifaceted.publishing.push import PushPlan

Repo = Annotated[str, typer.Argument(help="Organization or user, and name.", metavar="ORG/NAME")]


def push(
    folder: Annotated[Path, typer.Argument(help="A built folder.", metavar="FOLDER")],
    repo: Repo,
    *,
    private: Annotated[bool, typer.Option("--private", help="Create it as a private dataset.")] = False,
    tag: Annotated[str | None, typer.Option("--tag", help="A name for this version, such as v1.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask for confirmation; required without a terminal.")
    ] = False,
    replace_foreign: Annotated[
        bool, typer.Option("--replace-foreign", help="Replace files that multifaceted did not put there.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Push a folder that was built from an unfinished run.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Publish a built folder on the Hugging Face Hub: checked, in one commit, read back, tagged.

    The token is that of `hf auth login`, or HF_TOKEN. Pushing the same data again makes no commit.

    Example: `multifaceted push multifaceted_collection my-org/multifaceted_collection --tag v1`
    """
    show.say(f"checking {folder} …")

    def confirm(plan: "PushPlan") -> None:
        _show_plan(plan)
        if (plan.changes or plan.tag) and not yes:
            _ask(repo)
        show.say("pushing and reading back …")

    done = mf.push(
        folder,
        repo,
        private=private,
        tag=tag,
        replace_foreign=replace_foreign,
        partial=partial,
        confirm=confirm,
    )
    if as_json:
        changes = done.changes
        show.data(
            {
                "repo": repo,
                "revision": done.revision,
                "url": done.url,
                "created": done.created,
                "committed": done.committed,
                "tag": tag,
                "added": [change.path for change in changes.added],
                "changed": [change.path for change in changes.changed],
                "deleted": [change.path for change in changes.deleted],
                "bytes": changes.bytes,
            }
        )
        return
    told = "pushed and read back" if done.committed else "nothing to commit, read back"
    show.text(f"{told}: {done.url}" + (f" (tag {tag})" if tag else ""))
    show.text(f'load_dataset("{repo}", revision="{tag or done.revision}")')


def pull(
    repo: Repo,
    *,
    out: Annotated[Path, typer.Option("--out", help="The folder to write; it must be new or empty.")],
    revision: Annotated[str | None, typer.Option("--revision", help="A tag, branch or commit.")] = None,
    as_json: Json = False,
) -> None:
    """Download a published folder from the Hub and check it.

    Example: `multifaceted pull my-org/multifaceted_collection --revision v1 --out multifaceted_collection`
    """
    done = mf.pull(repo, out, revision=revision)
    rows = done.folder.rows
    if as_json:
        show.data({"folder": str(out), "revision": done.revision, "fetched": done.fetched, "rows": rows})
        return
    told = "came and is sound" if done.fetched else "was here already, and is the same"
    show.text(f"{out}: {repo} at {done.revision[:12]} {told}")
    show.table("", ["config", "rows"], [list(row) for row in rows.items()])


def _show_plan(plan: "PushPlan") -> None:
    """On stderr, so that stdout stays the result's."""
    changes = plan.changes
    state = "new" + (", private" if plan.private else ", public") if plan.state is None else "exists"
    show.say(f"{plan.repo} ({state}):")
    for sign, files in (("+", changes.added), ("~", changes.changed), ("-", changes.deleted)):
        for change in files:
            show.say(f"  {sign} {change.path}  {change.bytes:,} bytes")
    for lost in changes.foreign:
        show.say(f"  ! {lost}")
    sums = f"{len(changes.added)} added, {len(changes.changed)} changed, {len(changes.deleted)} deleted"
    show.say(f"{sums}, {changes.unchanged} unchanged; at most {changes.bytes:,} bytes to send")
    if plan.tag:
        show.say(f"tag {plan.tag} will be made")


def _ask(repo: str) -> None:
    if not sys.stdin.isatty():
        hint = f"look at what would change above, and add --yes to push it to {repo}"
        raise InputError([Problem("push", 0, "there is no terminal to ask on")], hint=hint)
    typer.confirm(f"push this to {repo}?", abort=True, err=True)
