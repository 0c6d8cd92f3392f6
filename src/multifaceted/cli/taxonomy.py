"""`taxonomy show|check|diff|schema`."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.tree import Tree

import multifaceted as mf
from multifaceted.cli.options import Json
from multifaceted.terminal import show

app = typer.Typer(help="Look at preference taxonomies.", no_args_is_help=True)

Source = Annotated[str, typer.Argument(help="`default`, or a taxonomy file.", metavar="TAXONOMY")]


@app.command("show")
def show_taxonomy(
    source: Source = "default",
    under: Annotated[str, typer.Option("--under", help="Only below this id, such as style/clarity.")] = "",
    as_json: Json = False,
) -> None:
    """Show a taxonomy as a tree.

    Example: `multifaceted taxonomy show --under style/clarity`
    """
    taxonomy = mf.load_taxonomy(source)
    if under and under not in taxonomy.nodes:
        raise typer.BadParameter(f"{taxonomy.name} has no {under!r}", param_hint="--under")
    if as_json:
        show.data((taxonomy.get(under) if under else taxonomy).model_dump(mode="json"))
        return
    tree = Tree(
        f"[bold]{escape(show.plain(taxonomy.name))}[/] {taxonomy.version} · {taxonomy.fingerprint[:16]}"
    )
    branches: dict[str, Tree] = {}
    for node_id, node in sorted(taxonomy.nodes.items(), key=lambda item: item[0].count("/")):
        if (
            node_id == under
            or node_id.startswith(f"{under}/")
            or not under
            or under.startswith(f"{node_id}/")
        ):
            parent = branches.get(node_id.rpartition("/")[0], tree)
            branches[node_id] = parent.add(f"[bold]{node.slug}[/] {escape(show.plain(node.description))}")
    show.out.print(tree)


@app.command()
def check(source: Source = "default") -> None:
    """Check a taxonomy file; every problem is listed with its line.

    Example: `multifaceted taxonomy check taxonomy.yaml`
    """
    taxonomy = mf.load_taxonomy(source)
    counts = (len(taxonomy.dimensions), len(taxonomy.subdimensions), len(taxonomy.preferences))
    show.text(
        "{} {}: {} dimensions, {} subdimensions, {} preferences; nothing is wrong".format(
            taxonomy.name, taxonomy.version, *counts
        )
    )


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help="`default`, or a taxonomy file.")],
    new: Annotated[str, typer.Argument(help="`default`, or a taxonomy file.")],
    as_json: Json = False,
) -> None:
    """Show what changed between two taxonomies, and the version step it asks for.

    Example: `multifaceted taxonomy diff default taxonomy.yaml`
    """
    found = mf.diff_taxonomies(mf.load_taxonomy(old), mf.load_taxonomy(new))
    if as_json:
        changed = {node_id: list(fields) for node_id, fields in found.changed.items()}
        show.data(
            {
                "added": list(found.added),
                "removed": list(found.removed),
                "changed": changed,
                "bump": found.bump,
            }
        )
        return
    for sign, ids in (("-", found.removed), ("+", found.added), ("~", found.changed)):
        for node_id in ids:
            fields = f" ({', '.join(found.changed[node_id])})" if sign == "~" else ""
            show.text(f"{sign} {node_id}{fields}")
    show.text(f"version step: {found.bump}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of taxonomy files, for editors.

    Example: `multifaceted taxonomy schema > taxonomy.schema.json`
    """
    show.data(mf.taxonomy_schema())
