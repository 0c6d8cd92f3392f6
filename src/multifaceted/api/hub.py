"""`push` and `pull`: to the Hugging Face Hub and back."""

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from multifaceted.api.built import BuiltFolder
from multifaceted.publishing.hub import settle_output
from multifaceted.publishing.pull import pull as bring
from multifaceted.publishing.push import Pushed, PushPlan, carry_out, plan_push
from multifaceted.terminal import show


@dataclass(frozen=True, repr=False)
class Pulled:
    """What came from the Hub."""

    folder: BuiltFolder
    revision: str
    fetched: bool  # False where it was here already, and the same

    def __repr__(self) -> str:
        how = "came and is sound" if self.fetched else "was here already, and is the same"
        return f"<{self.folder.path} at {self.revision[:12]}: {how}>"


def push(
    folder: str | Path | BuiltFolder,
    repo: str,
    *,
    private: bool = False,
    tag: str | None = None,
    replace_foreign: bool = False,
    partial: bool = False,
    confirm: Callable[[PushPlan], None] = lambda _: None,
) -> Pushed:
    """Publish a built folder on the Hugging Face Hub: checked, in one commit, read back, tagged.

    The token is that of `hf auth login`, or `HF_TOKEN`. Pushing the same data again makes no commit.

    Args:
        folder: a built folder.
        repo: `organization/name`.
        private: create it as a private dataset.
        tag: a name for this version, such as `v1`.
        replace_foreign: replace what multifaceted did not put there.
        partial: push a folder that was built from an unfinished run.
        confirm: gets what would change before anything does, and may raise to stop it.

    Raises:
        InputError: where the folder has faults, or a name is wrong.
        HubError: where the Hub refuses, or holds what must not be replaced.
    """
    _settle()
    plan = plan_push(
        Path(folder), repo, private=private, tag=tag, replace_foreign=replace_foreign, partial=partial
    )
    confirm(plan)
    return carry_out(plan)


def pull(repo: str, out: str | Path, *, revision: str | None = None) -> Pulled:
    """Bring a published folder back from the Hub, and check it.

    Args:
        repo: `organization/name`.
        out: where to put it; must not hold anything else.
        revision: a tag, branch or commit; None is the newest.

    Raises:
        HubError: where the Hub refuses, or holds nothing that `push` put there.
        StorageError: where something else is at `out`, or what came has faults.
    """
    _settle()
    done = bring(repo, Path(out), revision=revision)
    return Pulled(BuiltFolder(Path(out), done.manifest), done.revision, done.fetched)


def _settle() -> None:
    settle_output(bars=show.err.is_terminal)
    if sys.platform != "win32":
        # Importing Polars makes the system go on waiting for an answer after Ctrl-C; undo that.
        signal.siginterrupt(signal.SIGINT, True)
