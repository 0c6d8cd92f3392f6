"""What `export` does: a collection as a trainer loads it for a task, with a training configuration.

    write_view(Path("run"), Path("to_train"), trainer="trl", task="dpo")

Each trainer is one module in `trainers/`; the files beside the rows are templates in `templates/views/`.
"""
