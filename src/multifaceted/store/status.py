"""What has become of a run so far, read from its folder alone: `read_status(RunFolder(path))`."""

from dataclasses import asdict, dataclass, field

from multifaceted.journal import JournalSum, sum_replies
from multifaceted.store.atomic import read_json
from multifaceted.store.curation import JUDGES, curation_folder, describe_curation
from multifaceted.store.manifest import read_manifest
from multifaceted.store.present import look_at_run
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.waiting_batches import read_waiting


@dataclass(repr=False)
class RunStatus:
    """The account of a run. Finished rows count, whether or not their shard is finished."""

    name: str
    finished: bool  # the manifest is there
    rows: dict[str, int]  # planned = ok + failed + pending
    shards: dict[str, int]  # planned, whole, open
    open_rows: int = 0  # of the finished and failed rows, those whose shard is not finished yet
    failures: dict[str, int] = field(default_factory=dict)  # kind → rows
    requests: dict[str, int] = field(default_factory=dict)  # total, then by stage: replies in the journals
    tokens: dict[str, int] = field(default_factory=dict)  # of all replies ever paid for
    usd: float = 0.0  # of all replies whose cost was known when they came
    unpriced: int = 0  # replies whose cost was not, for want of a price or of token counts
    batches: dict[str, dict[str, int]] = field(default_factory=dict)  # state → batches, requests
    waiting: list[dict[str, object]] = field(default_factory=list)  # batches without their results
    spent: list[dict[str, object]] = field(default_factory=list)  # by stage, model and mode
    curation: dict[str, object] | None = None  # as `describe_curation` has it

    def __repr__(self) -> str:
        state = "finished" if self.finished else "not finished"
        counts = ", ".join(f"{number:,} {name}" for name, number in self.rows.items() if number)
        return f"<{self.name}: {state}; rows: {counts}; {self.cost}>"

    @property
    def cost(self) -> str:
        """Return what all replies cost, in words."""
        if self.unpriced == self.requests.get("total", 0):
            return f"{self.unpriced:,} replies{' of unknown price' if self.unpriced else ''}"
        unknown = f", and {self.unpriced:,} replies of unknown price" if self.unpriced else ""
        return f"{self.requests['total']:,} replies, {self.usd:,.4f} USD{unknown}"


def read_status(folder: RunFolder) -> RunStatus:
    """Sum up a run, while it is at work or after.

    Raises:
        StorageError: where there is no run.
    """
    manifest, present = read_manifest(folder), look_at_run(folder)
    data, opened = present.run, len(present.open)
    status = RunStatus(
        name=data.name,
        finished=manifest is not None,
        rows=data.counts,
        shards={"planned": len(data.shards), "finished": len(data.summaries) - opened, "open": opened},
        open_rows=present.open_rows,
        failures=data.failures,
    )
    spent = [*read_spent(folder), *sum_replies(curation_folder(folder) / JUDGES)]
    _add_spent(status, spent, list(data.stages))
    status.batches = _count_batches(folder)
    status.waiting = read_waiting(folder.path)
    status.curation = describe_curation(folder, manifest)
    return status


def read_spent(folder: RunFolder, names: list[str] | None = None) -> list[JournalSum]:
    """Return what the journals of some shards hold, by stage, model and mode; each reply counts once.

    None means all shards that there ever were: what the recipe asks for no more was paid all the same.
    """
    sums: dict[tuple[str, str, str], JournalSum] = {}
    files = folder.list_journals() if names is None else [folder.journal_file(name) for name in names]
    for file in files:
        for part in sum_replies(file):
            key = part.stage, part.model, part.mode
            sums[key] = sums[key] + part if key in sums else part
    return [sums[key] for key in sorted(sums)]


def _count_batches(folder: RunFolder) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for file in sorted((folder.path / "batches").glob("[0-9]*.json")):
        record = read_json(file)
        if record is not None:  # it may have been discarded by now
            of_state = counts.setdefault(record["state"], {"batches": 0, "requests": 0})
            of_state["batches"] += 1
            of_state["requests"] += record["requests"]
    return counts


def _add_spent(status: RunStatus, spent: list[JournalSum], stages: list[str]) -> None:
    spent = sorted(spent, key=lambda part: stages.index(part.stage) if part.stage in stages else len(stages))
    status.spent = [asdict(part) for part in spent]
    status.usd = sum(part.usd for part in spent)
    status.unpriced = sum(part.unpriced for part in spent)
    status.requests = {"total": sum(part.replies for part in spent), **dict.fromkeys(stages, 0)}
    for part in spent:
        # A former recipe of this folder may have had a stage more.
        status.requests[part.stage] = status.requests.get(part.stage, 0) + part.replies
    status.tokens = {
        "prompt": sum(part.prompt_tokens for part in spent),
        "cached": sum(part.cached_tokens for part in spent),
        "completion": sum(part.completion_tokens for part in spent),
        "reasoning": sum(part.reasoning_tokens for part in spent),
    }
