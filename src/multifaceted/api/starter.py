"""The files that `init` writes: a folder with everything one would edit."""

from pathlib import Path
from string import Template

from multifaceted.errors import InputError, Problem
from multifaceted.kinds import BENCH, COLLECTION, Kind
from multifaceted.prompts.template import REPAIR, shipped_template
from multifaceted.store.atomic import write_text
from multifaceted.taxonomy import default_file

COMMENTS_AT = 45  # the column of the comments in RECIPE
RECIPE = Template("""\
# Everything a run is made from. Check it with `multifaceted plan $file`: that spends nothing.
kind: $kind
name: $name
seed: 7
$instructions# JSONL, JSON, CSV or Parquet: prompt, id, source, original_source
taxonomy: taxonomy.yaml                      # or `default`, the one that ships with the package
$variants# system messages for each instruction
model:                                       # or `model: local`, the embedded one, without templates below
  base_url: https://api.openai.com/v1        # any OpenAI-compatible endpoint
  name: gpt-4o-mini
  api_key_env: OPENAI_API_KEY                # the variable that holds the key
  temperature: 1.0                           # null leaves a parameter out
  top_p: 0.9
  max_tokens: 1024
  structured_output: json_schema             # or json_object, or prompt
stages:                                      # leave a template out to use the shipped one
$stages
                                             # what one does differently: {model: {name: another-model}}
repair: templates/repair.j2                  # the turn after a reply that does not validate
concurrency: 64                              # requests in flight
shard_rows: 2000
""")

INSTRUCTIONS = """\
{"id": "rainbow", "prompt": "Why does a rainbow appear when it rains?", "source": "example"}
{"id": "thank-you-note", "prompt": "Help me thank a neighbor who fed my cat for a week.", "source": "example"}
{"id": "compound-interest", "prompt": "I save 500 at 4 % a year. What is it after 10 years?"}
"""


def write_starter(folder: Path, *, bench: bool = False) -> list[Path]:
    """Write a recipe, instructions, templates and taxonomy into a folder.

    Returns:
        The files, the recipe first.

    Raises:
        InputError: where one of them is there already; nothing is written then.
    """
    kind, recipe, pool = (
        (BENCH, "bench.yaml", "prompts.jsonl") if bench else (COLLECTION, "recipe.yaml", "instructions.jsonl")
    )
    names = [*(stage.template for stage in kind.stages), REPAIR]
    files = {
        recipe: _write_recipe(kind, recipe, pool),
        pool: INSTRUCTIONS,
        "taxonomy.yaml": default_file().read_text(encoding="utf-8"),
        **{f"templates/{name}.j2": shipped_template(name).read_text(encoding="utf-8") for name in names},
    }
    there = [Problem(str(folder / name), 0, "exists already") for name in files if (folder / name).exists()]
    if there:
        raise InputError(there, hint="name a new folder; nothing was written")
    for name, text in files.items():
        write_text(folder / name, text)
    return [folder / name for name in files]


def _write_recipe(kind: Kind, file: str, pool: str) -> str:
    return RECIPE.substitute(
        file=file,
        kind=kind.name,
        name=kind.title,
        instructions=f"instructions: {{path: {pool}}}".ljust(COMMENTS_AT),
        stages="\n".join(f"  {s.name}: {{template: templates/{s.template}.j2}}" for s in kind.stages),
        variants=f"variants: {kind.variants}".ljust(COMMENTS_AT),
    )
