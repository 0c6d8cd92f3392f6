"""Publishing a built folder: first the plan, which changes nothing, then one commit, read back, then the tag.

Example:
    plan = plan_push(Path("multifaceted_collection"), "org/multifaceted_collection", tag="v1")
    plan.changes.bytes
    carry_out(plan).revision
"""

import re
from dataclasses import dataclass
from pathlib import Path

from multifaceted.building.check import check_folder
from multifaceted.errors import HubError, InputError, InterruptedRunError, Problem, StorageError
from multifaceted.publishing.changes import Changes, compare, is_same, list_files
from multifaceted.publishing.hub import DatasetRepo, RemoteState
from multifaceted.publishing.read_back import read_back
from multifaceted.store.built_folder import BuiltManifest, read_built_manifest

TAG = r"[A-Za-z0-9][A-Za-z0-9._-]*(?<!\.)(?<!\.lock)"  # what git and an address both take as it is


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What a push would do."""

    folder: Path
    manifest: BuiltManifest
    repo: DatasetRepo
    state: RemoteState | None  # None: the repository is to be created
    changes: Changes
    private: bool
    tag: str | None  # None where none is wanted, or it is there already


@dataclass(frozen=True, slots=True, repr=False)
class Pushed:
    """What a push has done."""

    revision: str
    url: str
    committed: bool
    created: bool
    changes: Changes

    def __repr__(self) -> str:
        return f"<{'pushed' if self.committed else 'nothing to push'}: {self.url}>"


def plan_push(
    folder: Path,
    repo_id: str,
    *,
    private: bool = False,
    tag: str | None = None,
    replace_foreign: bool = False,
    partial: bool = False,
) -> PushPlan:
    """Check the folder, look at the Hub, and say what would change. Changes nothing.

    Args:
        folder: a built folder.
        repo_id: `organization/name`.
        private: create the repository as a private one; one that is public is refused.
        tag: a name for the commit.
        replace_foreign: replace what this tool did not put there.
        partial: push a folder that was built from a run that was not finished.

    Raises:
        InputError: where the folder has faults, is partial and must not be, or a name is none.
        StorageError: where it is not a built folder.
        HubError: where the Hub refuses, or holds what must not be replaced.
    """
    repo = DatasetRepo(repo_id)
    if tag is not None and (tag == "main" or not re.fullmatch(TAG, tag)):
        raise InputError(
            [Problem(tag, 0, "is not a name for a tag: letters, digits and .-_ only, and not main")]
        )
    manifest = _read_sound(folder, partial=partial)
    repo.require_token()
    state = repo.look()
    changes = compare(folder, manifest, repo, state)
    if changes.foreign and not replace_foreign:
        hint = "push to another name, or replace it with --replace-foreign; its history stays on the Hub"
        raise HubError("\n".join(changes.foreign), hint=hint)
    if state is not None and private and not state.private:
        hint = "make it private in its settings, or push without --private"
        raise HubError(f"{repo} exists and is public", hint=hint)
    wanted = tag and _check_tag(repo, state, tag, changes)
    return PushPlan(folder, manifest, repo, state, changes, private, wanted)


def carry_out(plan: PushPlan) -> Pushed:
    """Carry out a plan: at most one commit, which is read back, and then the tag.

    Raises:
        HubError: where something goes wrong; it says what state the repository is in.
        InterruptedRunError: on Ctrl-C.
    """
    repo, state = plan.repo, plan.state
    try:
        if state is None:
            repo.create(private=plan.private)
            state = repo.look()
            if state is None:
                raise HubError(f"{repo} was created, but cannot be seen", hint="run it again", retryable=True)
        revision = _commit(plan, state) if plan.changes else state.revision
        read_back(plan.folder, plan.manifest, repo, revision)
        if plan.tag:
            _tag(repo, plan.tag, revision)
    except KeyboardInterrupt as error:
        note = "the commit is there whole or not at all; the same push again does what is missing"
        raise InterruptedRunError(f"interrupted while pushing to {repo}: {note}") from error
    return Pushed(
        revision,
        repo.url(revision),
        committed=bool(plan.changes),
        created=plan.state is None,
        changes=plan.changes,
    )


def _read_sound(folder: Path, *, partial: bool) -> BuiltManifest:
    manifest = read_built_manifest(folder)
    if manifest is None:
        hint = "make one with: multifaceted build RUN --out DIR"
        raise StorageError(f"{folder} is not a built folder", hint=hint)
    if manifest.pending and not partial:
        hint = "finish the run and build it again; or push it as it is with --partial"
        raise InputError([Problem(str(folder), 0, f"is partial: {manifest.made}")], hint=hint)
    faults = check_folder(folder)
    if faults:
        hint = "build it again; nothing was sent"
        raise InputError([Problem(str(folder), 0, fault) for fault in faults], hint=hint)
    return manifest


def _check_tag(repo: DatasetRepo, state: RemoteState | None, tag: str, changes: Changes) -> str | None:
    named = repo.list_tags().get(tag) if state is not None else None
    if named is None:
        return tag
    if state is not None and named == state.revision and not changes:
        return None
    hint = "choose another tag: one that people load by is never moved"
    raise HubError(f"{repo} has a tag {tag} already, at {named[:12]}", hint=hint)


def _commit(plan: PushPlan, before: RemoteState) -> str:
    rows = sum(config.rows for config in plan.manifest.configs[:1])
    message = f"{plan.manifest.name}: {rows:,} rows, content {plan.manifest.digest}"
    sent = (*plan.changes.added, *plan.changes.changed)
    add = {change.path: plan.folder / change.path for change in sent}
    delete = [change.path for change in plan.changes.deleted]
    try:
        return plan.repo.commit(add, delete, message=message, parent=before.revision)
    except HubError as error:
        return _settle_failure(plan, before, error)


def _settle_failure(plan: PushPlan, before: RemoteState, error: HubError) -> str:
    """Return a commit failed, or its answer was lost: look what the repository holds now, and say so."""
    repo = plan.repo
    try:
        now = repo.look()
    except HubError as second:
        note = f"{repo} cannot be reached to see whether the commit was made; it is there whole or not at all"
        raise HubError(f"{error.message}\n{note}", hint="run the same push again", retryable=True) from second
    if now is not None and now.revision == before.revision:
        state = "new, and empty" if plan.state is None else "as it was"
        hint = error.hint or "run the same push again"
        note = f"nothing was committed: {repo} is {state}"
        raise HubError(f"{error.message}\n{note}", hint=hint, retryable=error.retryable) from error
    if now is not None and _holds(plan, now):
        return now.revision  # the commit was made, and only its answer was lost
    message = f"somebody else pushed to {repo} while this push was under way; it is as they left it"
    hint = "look at their commit on the Hub; the same push again shows anew what would change"
    raise HubError(message, hint=hint) from error


def _holds(plan: PushPlan, now: RemoteState) -> bool:
    mine = list_files(plan.manifest)
    return all(
        path in now.files and is_same(plan.folder / path, now.files[path]) for path in mine
    ) and not any(change.path in now.files for change in plan.changes.deleted)


def _tag(repo: DatasetRepo, tag: str, revision: str) -> None:
    try:
        repo.tag(tag, revision)
    except HubError as error:
        note = f"the commit {revision[:12]} is there and whole; only the tag {tag} is missing"
        hint = "the same push again makes the tag, and no commit"
        raise HubError(f"{error.message}\n{note}", hint=hint, retryable=error.retryable) from error
