"""The batches whose results did not come so far, read from their records: `read_waiting(folder.path)`."""

from pathlib import Path

from multifaceted.store.atomic import read_json

_SHOWN = ("number", "batch_id", "model", "requests", "waits_for")


def read_waiting(path: Path) -> list[dict[str, object]]:
    """What is known of each such batch below a folder, in order; `waits_for` says what its results lack.

    Raises:
        StorageError: where a record is damaged.
    """
    records = (read_json(file) for file in sorted(path.glob("batches/[0-9]*.json")))
    waiting = (record for record in records if record and record.get("waits_for"))
    return [{name: record.get(name, "") for name in _SHOWN} for record in waiting]
