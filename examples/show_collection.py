"""Open the collection that `make demo` built, print two rows and say what to do next."""

import textwrap

from datasets import disable_progress_bars, load_dataset

disable_progress_bars()
rows = load_dataset("multifaceted_collection", split="train")  # the folder of that name, here
origins = load_dataset("multifaceted_collection", "provenance", split="train")

for row, origin in list(zip(rows, origins, strict=True))[:2]:
    print(f"\n━━ {row['id']} · written by {origin['response']['model']}\n")
    for entry in row["preference_set"]:
        name = f"{entry['dimension']} → {entry['subdimension']} → {entry['preference']}"
        print(textwrap.fill(f"{name}: {entry['description']}", 100, subsequent_indent="    "))
    for field in ("system", "prompt", "output"):
        print(f"\n  {field}")
        print(textwrap.fill(row[field], 100, initial_indent="    ", subsequent_indent="    "))

print(f"""
━━ {rows.num_rows} rows in demo/multifaceted_collection, and figures in demo/report/index.html. Next:

  cd demo
  ../.venv/bin/python -c 'from datasets import load_dataset; print(load_dataset("multifaceted_collection"))'
  cd ..
  .venv/bin/multifaceted check demo/multifaceted_collection
  .venv/bin/multifaceted curate demo/run        # which rows to leave out, and why; then build again
  .venv/bin/multifaceted rows demo/run --dropped
  .venv/bin/multifaceted init my_collection     # a recipe, instructions, templates and taxonomy of your own

The embedded model is tiny and its prose is weak. Point the recipe at a better one: model.base_url and
model.name of any OpenAI-compatible endpoint, or model.weights of any GGUF file.
""")
