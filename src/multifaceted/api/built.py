"""A built folder as an object: `built.load("sft")`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from multifaceted.store.built_folder import BuiltManifest

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


@dataclass(frozen=True, repr=False)
class BuiltFolder:
    """A folder that `load_dataset` opens."""

    path: Path
    manifest: BuiltManifest
    notice: str = ""  # what to say of a recipe that has changed since the run

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def rows(self) -> dict[str, int]:
        """Return how many rows each config has."""
        return {config.name: config.rows for config in self.manifest.configs}

    @property
    def digest(self) -> str:
        """Return what names the content: equal digests, equal rows."""
        return self.manifest.digest

    def load(self, config: str | None = None, split: str | None = None) -> "Dataset | DatasetDict":
        """Load a config with `datasets`, as anybody would: `load_dataset(path, config, split=split)`."""
        from datasets import load_dataset  # noqa: PLC0415 - takes a second

        return load_dataset(str(self.path.resolve()), config, split=split)

    def __repr__(self) -> str:
        rows = ", ".join(f"{name} {rows:,}" for name, rows in self.rows.items())
        partial = f"; partial: {self.manifest.made}" if self.manifest.pending else ""
        return f"<built folder {self.path}: {rows}{partial}>"
