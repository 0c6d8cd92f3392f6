"""What has become of a run so far, read from its folder alone: `read_status(RunFolder(path))`."""

from dataclasses import asdict, dataclass, field

from multifaceted.journal import sum_replies
from multifaceted.records import STAGES
from multifaceted.store.manifest import read_manifest, read_run
from multifaceted.store.run_folder import RunFolder


@dataclass
class RunStatus:
    """The account of a run. `pending` rows belong to shards that are not whole yet."""

    name: str
    finished: bool  # the manifest is there
    rows: dict[str, int]  # planned = ok + failed + pending
    shards: dict[str, int]  # planned, whole
    failures: dict[str, int] = field(default_factory=dict)  # kind → rows
    requests: dict[str, int] = field(default_factory=dict)  # total, then by stage: replies in the journals
    tokens: dict[str, int] = field(default_factory=dict)  # prompt, completion: of all replies ever paid for

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def read_status(folder: RunFolder) -> RunStatus:
    """Sum up a run, while it is at work or after.

    Raises:
        StorageError: where there is no run.
    """
    data = read_run(folder)
    manifest = read_manifest(folder)
    found = [folder.finished(name) for name in data.shards]
    whole = [s for s in found if s is not None and s.fingerprint == data.shards[s.name]]
    ok, failed = sum(s.ok for s in whole), sum(s.failed for s in whole)
    status = RunStatus(
        name=data.name,
        finished=manifest is not None,
        rows={"planned": data.planned, "ok": ok, "failed": failed, "pending": data.planned - ok - failed},
        shards={"planned": len(data.shards), "whole": len(whole)},
    )
    for summary in whole:
        for kind, rows in summary.failures.items():
            status.failures[kind] = status.failures.get(kind, 0) + rows
    _count_journals(status, folder, list(data.shards))
    return status


def _count_journals(status: RunStatus, folder: RunFolder, names: list[str]) -> None:
    status.requests = {"total": 0, **dict.fromkeys(STAGES, 0)}
    status.tokens = {"prompt": 0, "completion": 0}
    for name in names:
        for count in sum_replies(folder.journal_file(name)):
            status.requests["total"] += count.replies
            status.requests[count.stage] += count.replies
            status.tokens["prompt"] += count.prompt_tokens
            status.tokens["completion"] += count.completion_tokens
