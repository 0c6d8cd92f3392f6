"""Publishing built folders to the loopback hub with the real client, and bringing them back."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from conftest import HUB_TOKEN, write_instructions
from fork_server import find_command

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.building.check import check_folder
from multifaceted.building.folder import build_folder
from multifaceted.errors import HubError, InputError, InterruptedRunError, StorageError
from multifaceted.ids import hash_file, hash_text
from multifaceted.planning import compile_plan
from multifaceted.publishing import pull as pull_module
from multifaceted.publishing import push as push_module
from multifaceted.publishing.pull import pull
from multifaceted.publishing.push import Pushed, carry_out, plan_push
from multifaceted.records import Row
from multifaceted.store.manifest import read_run
from multifaceted.store.open_rows import OpenRowsWriter
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.shards import read_rows
from multifaceted.testing import ChatServer, HubFault, HubServer

# How the client itself calls the library that it uploads with.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
    pytest.mark.usefixtures("use_hub"),
]
REPO = "org/multifaceted_collection"
SFT = "sft/train-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built folders: `first`; `second`, with two instructions more; `as_arrow`, the first one's rows."""
    path = tmp_path_factory.mktemp("built")
    with ChatServer() as server:
        for name, count in (("first", 10), ("second", 12)):
            write_instructions(path / "instructions.jsonl", count)
            recipe = {
                "name": "multifaceted_collection",
                "instructions": {"path": "instructions.jsonl"},
                "model": {"base_url": server.base_url, "name": "some-model"},
            }
            (path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
            run = path / "run" / name
            asyncio.run(pipeline.generate(compile_plan(path / "recipe.yaml"), run, control=RunControl()))
            build_folder(run, path / name, file_format="parquet")
    build_folder(path / "run/first", path / "as_arrow")
    return path


_sound: set[str] = set()


@pytest.fixture(autouse=True)
def _check_each_content_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with a folder follows from its files: equal ones are checked once for all tests."""

    def check_once(folder: Path) -> list[str]:
        digest = hash_text(str({path: hash_text(str(data)) for path, data in read_folder(folder).items()}))
        faults = [] if digest in _sound else check_folder(folder)
        _sound.update(() if faults else (digest,))
        return faults

    for module in (push_module, pull_module):
        monkeypatch.setattr(module, "check_folder", check_once)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's waits before it asks again take no time."""
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda seconds: None))


def send(folder: Path, *, private: bool = False, tag: str | None = None, replace: bool = False) -> Pushed:
    return carry_out(plan_push(folder, REPO, private=private, tag=tag, replace_foreign=replace))


def read_folder(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def published(hub: HubServer, revision: str = "main") -> dict[str, bytes]:
    files = hub.read(REPO, revision)
    assert files.pop(".gitattributes")
    return files


def only(route: str, fault: HubFault, *, times: int = 1) -> Callable[[str, int], HubFault | None]:
    return lambda name, number: fault if name == route and number < times else None


def always(route: str, fault: HubFault) -> Callable[[str, int], HubFault | None]:
    return only(route, fault, times=10**9)


def run_command(
    hub: HubServer, home: Path, *words: object, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **hub.environment, "HF_HOME": str(home), **variables}
    command = [find_command("multifaceted"), *map(str, words)]
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def test_a_partial_build_is_pushed_only_where_that_is_said(
    folders: Path, hub: HubServer, tmp_path: Path
) -> None:
    run = shutil.copytree(folders / "run/first", tmp_path / "run")
    lay_open(run)
    built = tmp_path / "multifaceted_collection"
    build_folder(run, built, partial=True)
    with pytest.raises(InputError, match="is partial: 3 of 30 planned rows were made") as refused:
        plan_push(built, REPO)
    assert "--partial" in refused.value.hint
    assert carry_out(plan_push(built, REPO, partial=True)).committed
    assert "3 of 30 planned rows were made" in published(hub)["README.md"].decode()


def lay_open(run: Path) -> None:
    """Make of a finished run one that was stopped after three rows."""
    folder = RunFolder(run)
    [(name, fingerprint)] = read_run(folder).shards.items()
    rows = [*read_rows(folder.rows_file(name), Row)]
    folder.reopen(name)
    folder.rows_file(name).unlink()
    file = folder.open_file(name)
    with OpenRowsWriter(file, fingerprint=fingerprint, planned=len(rows), model=Row) as writer:
        for position in (7, 0, 8):
            writer.note(position, rows[position])


def test_a_push_is_one_commit_and_a_tag_that_hold_the_folder(folders: Path, hub: HubServer) -> None:
    done = send(folders / "first", tag="v1")
    assert published(hub) == read_folder(folders / "first")
    assert (done.committed, done.created, hub.commits) == (True, True, 1)
    repo = hub.store.find(REPO)
    assert repo.tags == {"v1": done.revision}
    assert repo.head.oid == done.revision
    assert repo.head.parent == repo.commits[0].oid
    assert not repo.private


# It leaves without tidying up: a Parquet stream's read-ahead threads may abort an interpreter that ends.
PROGRAM = """
import os
import sys
from datasets import load_dataset
local, repo = sys.argv[1:]
for config in ("sft", "dpo", "rm", "provenance"):
    theirs = load_dataset(repo, config, revision="v1")
    mine = load_dataset(local, config)
    assert set(theirs) == set(mine)
    for split in mine:
        assert theirs[split].to_list() == mine[split].to_list()
        assert list(load_dataset(repo, config, split=split, streaming=True)) == mine[split].to_list()
print(sum(rows.num_rows for rows in load_dataset(repo).values()), flush=True)
os._exit(0)
"""


def test_load_dataset_reads_what_was_pushed(folders: Path, hub: HubServer, tmp_path: Path) -> None:
    send(folders / "first", tag="v1")
    environment = {**os.environ, **hub.environment, "HF_HOME": str(tmp_path / "hf")}
    command = [sys.executable, "-c", PROGRAM, str(folders / "first"), REPO]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "30"), done.stderr


def test_pushing_the_same_again_commits_and_uploads_nothing(folders: Path, hub: HubServer) -> None:
    first = send(folders / "first", tag="v1")
    uploaded = hub.uploaded_bytes
    again = send(folders / "first", tag="v1")
    assert (again.committed, again.revision) == (False, first.revision)
    assert (hub.commits, hub.uploaded_bytes) == (1, uploaded)
    send(folders / "first", tag="v1.0")
    assert hub.store.find(REPO).tags == {"v1": first.revision, "v1.0": first.revision}
    assert hub.commits == 1


def test_only_what_changed_is_sent_and_the_old_version_stays(folders: Path, hub: HubServer) -> None:
    send(folders / "first", tag="v1")
    hub.uploads.clear()
    plan = plan_push(folders / "second", REPO)
    assert {change.path for change in plan.changes.changed} >= {SFT, "README.md", "manifest.json"}
    carry_out(plan)
    assert published(hub) == read_folder(folders / "second")
    assert published(hub, "v1") == read_folder(folders / "first")
    changed = {hash_file(folders / "second" / change.path) for change in plan.changes.changed}
    assert set(hub.uploads) <= changed
    assert hub.commits == 2


def test_files_that_are_no_longer_there_are_deleted_and_others_stay(folders: Path, hub: HubServer) -> None:
    send(folders / "as_arrow")
    hub.commit(REPO, {"figures/plot.png": b"\x89PNG\0", "LICENSE": b"CC0"})
    send(folders / "first")
    extra = {"figures/plot.png": b"\x89PNG\0", "LICENSE": b"CC0"}
    assert published(hub) == {**read_folder(folders / "first"), **extra}


def test_what_cannot_be_pushed_is_refused_before_the_hub_is_asked(
    folders: Path, hub: HubServer, tmp_path: Path
) -> None:
    shutil.copytree(folders / "first", tmp_path / "faulty")
    (tmp_path / "faulty" / SFT).write_bytes(b"no Parquet")
    (tmp_path / "faulty/sft/stray.parquet").write_bytes(b"")
    with pytest.raises(InputError) as refused:
        send(tmp_path / "faulty")
    assert len(refused.value.problems) >= 2
    assert "SHA-256" in refused.value.message
    with pytest.raises(StorageError, match="not a built folder"):
        send(folders / "run/first")
    with pytest.raises(InputError, match="needs an organization"):
        plan_push(folders / "first", "multifaceted_collection")
    for tag in ("main", "v 1", "-v1", "v1.", "a/b"):
        with pytest.raises(InputError, match="not a name for a tag"):
            plan_push(folders / "first", REPO, tag=tag)
    assert hub.requests.total() == 0


def test_a_push_that_somebody_else_overtakes_is_refused(folders: Path, hub: HubServer) -> None:
    send(folders / "first")

    def overtake(route: str, number: int) -> None:
        if route == "commit":
            hub.commit(REPO, {"LICENSE": b"CC0"})

    hub.fault = overtake
    with pytest.raises(HubError, match="somebody else pushed") as refused:
        send(folders / "second")
    assert "shows anew" in refused.value.hint
    assert published(hub) == {**read_folder(folders / "first"), "LICENSE": b"CC0"}
    hub.fault = None
    send(folders / "second")
    assert published(hub) == {**read_folder(folders / "second"), "LICENSE": b"CC0"}


BROKEN = {
    "commit answered 500": ("commit", HubFault(status=500)),
    "connection dropped at the commit": ("commit", HubFault(drop=True)),
    "uploads answered 503": ("upload", HubFault(status=503)),
    "connection dropped while uploading": ("upload", HubFault(drop=True)),
    "offer of uploads answered 500": ("batch", HubFault(status=500)),
    "a full quota": ("commit", HubFault(status=403, message="Private repository storage limit reached")),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("way", BROKEN)
def test_a_push_that_fails_half_way_leaves_the_repository_as_it_was(
    folders: Path, hub: HubServer, way: str
) -> None:
    send(folders / "first", tag="v1")
    before, commits = published(hub), len(hub.store.find(REPO).commits)
    hub.fault = always(*BROKEN[way])
    with pytest.raises(HubError) as failed:
        send(folders / "second", tag="v2")
    assert f"nothing was committed: {REPO} is as it was" in failed.value.message
    assert failed.value.hint
    assert "signature" not in failed.value.message
    assert (published(hub), len(hub.store.find(REPO).commits)) == (before, commits)
    assert list(hub.store.find(REPO).tags) == ["v1"]
    hub.fault = None
    send(folders / "second", tag="v2")
    assert published(hub, "v2") == read_folder(folders / "second")


@pytest.mark.usefixtures("impatient")
def test_one_failed_upload_does_not_stop_a_push(folders: Path, hub: HubServer) -> None:
    hub.fault = only("upload", HubFault(status=503), times=2)
    send(folders / "first")
    assert published(hub) == read_folder(folders / "first")


def test_a_new_repository_whose_first_commit_fails_is_empty_and_can_be_filled(
    folders: Path, hub: HubServer
) -> None:
    hub.fault = only("commit", HubFault(status=500))
    with pytest.raises(HubError, match=f"nothing was committed: {REPO} is new, and empty"):
        send(folders / "first")
    assert published(hub) == {}
    send(folders / "first")
    assert published(hub) == read_folder(folders / "first")


def test_a_commit_whose_answer_is_lost_is_found_again(folders: Path, hub: HubServer) -> None:
    hub.fault = only("commit", HubFault(drop=True, afterwards=True))
    done = send(folders / "first", tag="v1")
    assert hub.commits == 1
    assert hub.store.find(REPO).tags == {"v1": done.revision}


def test_where_the_state_is_unknown_it_is_not_claimed(folders: Path, hub: HubServer) -> None:
    send(folders / "first")

    def go_dark(route: str, number: int) -> HubFault | None:
        return HubFault(drop=True) if hub.requests["commit"] > 1 else None

    hub.fault = go_dark
    with pytest.raises(HubError, match="cannot be reached to see whether") as failed:
        send(folders / "second")
    assert "as it was" not in failed.value.message


def test_tokens_that_do_not_do(folders: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    send(folders / "first")
    hub.read_token = "hf_" + "r" * 34
    told = []
    for token in ("hf_" + "x" * 34, hub.read_token, ""):
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(HubError) as refused:
            send(folders / "second")
        told.append(refused.value.message)
        assert "hf auth login" in refused.value.hint or "write access" in refused.value.hint
        assert not token or token not in told[-1] + refused.value.hint
    assert "does not know the token" in told[0]
    assert "does not allow committing" in told[1]
    assert "as it was" in told[1]
    assert told[2] == "there is no token for the Hub"
    assert published(hub) == read_folder(folders / "first")


def test_a_private_dataset_is_seen_by_those_who_may(
    folders: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    send(folders / "first", private=True)
    assert hub.store.find(REPO).private
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="does not exist on the Hub, or is private"):
        pull(REPO, tmp_path / "back")
    monkeypatch.setenv("HF_TOKEN", HUB_TOKEN)
    pull(REPO, tmp_path / "back")
    assert read_folder(tmp_path / "back") == read_folder(folders / "first")


def test_private_data_is_not_pushed_to_a_public_dataset(folders: Path, hub: HubServer) -> None:
    hub.create(REPO)
    with pytest.raises(HubError, match="exists and is public"):
        send(folders / "first", private=True)
    assert published(hub) == {}


def test_a_tag_is_never_moved(folders: Path, hub: HubServer) -> None:
    first = send(folders / "first", tag="v1")
    with pytest.raises(HubError, match="has a tag v1 already"):
        send(folders / "second", tag="v1")
    assert hub.commits == 1
    assert hub.store.find(REPO).tags == {"v1": first.revision}


def test_a_tag_that_failed_is_made_by_the_next_push(folders: Path, hub: HubServer) -> None:
    hub.fault = only("tag", HubFault(status=500))
    with pytest.raises(HubError, match="only the tag v1 is missing"):
        send(folders / "first", tag="v1")
    assert published(hub) == read_folder(folders / "first")
    again = send(folders / "first", tag="v1")
    assert (again.committed, hub.commits) == (False, 1)
    assert hub.store.find(REPO).tags == {"v1": again.revision}


def test_a_dataset_of_somebody_else_is_replaced_only_when_asked(folders: Path, hub: HubServer) -> None:
    hub.create(REPO)
    theirs = hub.commit(REPO, {"README.md": b"# Mine", "data/train.parquet": b"\0rows"})
    with pytest.raises(HubError, match=r"did not put there: README\.md, data/train\.parquet") as refused:
        send(folders / "first")
    assert "--replace-foreign" in refused.value.hint
    assert published(hub)["README.md"] == b"# Mine"
    send(folders / "first", replace=True)
    assert published(hub) == read_folder(folders / "first")
    assert published(hub, theirs)["README.md"] == b"# Mine"


@pytest.mark.parametrize(
    ("path", "content"),
    [("README.md", b"# With a section of my own"), (SFT, b"\0others"), ("sft/train-1.parquet", b"\0more")],
)
def test_what_was_changed_on_the_hub_is_replaced_only_when_asked(
    folders: Path, hub: HubServer, path: str, content: bytes
) -> None:
    send(folders / "first")
    hub.commit(REPO, {path: content})
    with pytest.raises(HubError, match=path):
        send(folders / "second")
    assert published(hub)[path] == content
    send(folders / "second", replace=True)
    assert published(hub) == read_folder(folders / "second")


def test_reading_back_finds_a_file_that_is_not_what_was_pushed(folders: Path, hub: HubServer) -> None:
    def spoil(route: str, number: int) -> None:
        if route == "revision" and hub.commits:
            files = hub.store.find(REPO).head.files
            assert isinstance(files, dict)
            files[SFT] = hub.store.keep(b"\0other", lfs=True)
            del files["manifest.json"]
            hub.fault = None

    hub.fault = spoil
    with pytest.raises(HubError, match="reading it back shows") as failed:
        send(folders / "first", tag="v1")
    assert f"{SFT} has another hash" in failed.value.message
    assert "manifest.json is missing" in failed.value.message
    assert hub.store.find(REPO).tags == {}


@pytest.mark.usefixtures("impatient")
def test_reading_back_finds_a_config_that_cannot_be_loaded(folders: Path, hub: HubServer) -> None:
    hub.fault = always("resolve", HubFault(status=500))
    with pytest.raises(HubError, match="load_dataset fails for config 'sft'"):
        send(folders / "first", tag="v1")
    assert published(hub) == read_folder(folders / "first")
    assert hub.store.find(REPO).tags == {}


def test_a_pulled_folder_is_the_one_that_was_pushed(folders: Path, hub: HubServer, tmp_path: Path) -> None:
    first = send(folders / "first", tag="v1")
    send(folders / "second")
    hub.commit(REPO, {"figures/plot.png": b"\x89PNG\0"})
    for revision, name in (("v1", "first"), (first.revision, "first"), (None, "second")):
        out = tmp_path / f"back-{revision}"
        assert pull(REPO, out, revision=revision).fetched
        assert read_folder(out) == read_folder(folders / name)
    assert sorted(path.name for path in tmp_path.glob("*back*")) == sorted(
        f"back-{revision}" for revision in ("v1", first.revision, None)
    )


def test_a_pull_never_touches_what_is_there(folders: Path, hub: HubServer, tmp_path: Path) -> None:
    send(folders / "first")
    out = tmp_path / "out"
    assert pull(REPO, out).fetched
    assert not pull(REPO, out).fetched
    for path in (SFT, "README.md"):
        (out / path).write_bytes(b"mine")
        with pytest.raises(StorageError, match="holds something else"):
            pull(REPO, out)
        assert (out / path).read_bytes() == b"mine"
    (tmp_path / "empty").mkdir()
    assert pull(REPO, tmp_path / "empty").fetched


def test_a_pull_of_damaged_data_leaves_nothing(folders: Path, hub: HubServer, tmp_path: Path) -> None:
    send(folders / "first")
    hub.commit(REPO, {SFT: b"\0not what the manifest says"})
    with pytest.raises(HubError, match="27 bytes, its manifest says"):
        pull(REPO, tmp_path / "sub/out")
    hub.commit(REPO, {SFT: b"\0" * (folders / "first" / SFT).stat().st_size})
    with pytest.raises(StorageError, match="SHA-256"):
        pull(REPO, tmp_path / "sub/out")
    assert list((tmp_path / "sub").iterdir()) == []


@pytest.mark.usefixtures("impatient")
def test_a_pull_that_broke_off_goes_on_where_it_was(folders: Path, hub: HubServer, tmp_path: Path) -> None:
    send(folders / "first")
    files = hub.store.find(REPO).head.files
    lost = hub.store.objects.pop(files[SFT].sha256)
    hub.store.objects[files[SFT].sha256] = lost[:100]
    with pytest.raises(HubError, match="the same pull goes on"):
        pull(REPO, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    hub.store.objects[files[SFT].sha256] = lost
    pull(REPO, tmp_path / "out")
    assert read_folder(tmp_path / "out") == read_folder(folders / "first")


def test_a_pull_of_what_is_no_built_folder_is_refused(folders: Path, hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="does not exist"):
        pull(REPO, tmp_path / "out")
    hub.create(REPO)
    with pytest.raises(HubError, match="holds nothing"):
        pull(REPO, tmp_path / "out")
    with pytest.raises(HubError, match="no such branch"):
        pull(REPO, tmp_path / "out", revision="v9")
    manifest = json.loads((folders / "first/manifest.json").read_text())
    manifest["metadata"]["../../evil"] = "0" * 64
    hub.commit(REPO, {"manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(HubError, match=r"names '\.\./\.\./evil', which is not a file of a built folder"):
        pull(REPO, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_commands_and_what_they_print(folders: Path, hub: HubServer, tmp_path: Path) -> None:
    asked = run_command(hub, tmp_path, "push", folders / "first", REPO)
    assert (asked.returncode, hub.commits, REPO in hub.store.repos) == (2, 0, False)
    assert f"+ {SFT}" in asked.stderr
    assert "add --yes" in asked.stderr
    past = {"ALL_PROXY": "socks5://me:hunter2@127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    words = ("push", folders / "first", REPO, "--tag", "v1", "--yes", "--json")
    done = run_command(hub, tmp_path, *words, **past)
    told = json.loads(done.stdout)
    assert (done.returncode, told["committed"], told["tag"]) == (0, True, "v1")
    assert told["added"] == sorted(read_folder(folders / "first"))
    back = run_command(hub, tmp_path, "pull", REPO, "--revision", "v1", "--out", tmp_path / "back")
    assert (back.returncode, "sound" in back.stdout) == (0, True)
    assert read_folder(tmp_path / "back") == read_folder(folders / "first")
    for output in (asked, done, back):
        assert HUB_TOKEN not in output.stdout + output.stderr
        assert "hunter2" not in output.stdout + output.stderr
        assert "Traceback" not in output.stderr
        assert "%|" not in output.stderr  # a progress bar


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_who_answers_no_pushes_nothing(folders: Path, hub: HubServer, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    os.write(ours, b"n\n")
    environment = {**os.environ, **hub.environment, "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "multifaceted", "push", str(folders / "first"), REPO]
    done = subprocess.run(
        command, env=environment, stdin=theirs, capture_output=True, text=True, check=False, timeout=60
    )
    os.close(ours)
    os.close(theirs)
    assert (done.returncode, REPO in hub.store.repos) == (1, False)
    assert f"push this to {REPO}?" in done.stderr


def test_no_secret_is_printed_when_things_go_wrong(folders: Path, hub: HubServer, tmp_path: Path) -> None:
    def fail_and_tell(route: str, number: int) -> HubFault | None:
        if route == "upload" and number == 0:
            return HubFault(status=503)  # the client warns, with the upload link and its signature
        return HubFault(status=500, message=f"bad token {HUB_TOKEN}") if route == "commit" else None

    hub.fault = fail_and_tell
    done = run_command(hub, tmp_path, "push", folders / "first", REPO, "--yes")
    assert done.returncode == 2
    assert "HTTP Error 503" in done.stderr
    assert "bad token ***" in done.stderr
    assert HUB_TOKEN not in done.stdout + done.stderr
    assert "signature=" not in done.stdout + done.stderr


def test_ctrl_c_ends_a_push_without_a_commit(folders: Path, hub: HubServer, tmp_path: Path) -> None:
    arrived, release = threading.Event(), threading.Event()

    def hold(route: str, number: int) -> HubFault | None:
        if route != "commit":
            return None
        arrived.set()
        release.wait(30)
        return HubFault(drop=True)

    hub.fault = hold
    environment = {**os.environ, **hub.environment, "HF_HOME": str(tmp_path / "hf")}
    command = [sys.executable, "-m", "multifaceted", "push", str(folders / "first"), REPO, "--yes"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert arrived.wait(30)
        process.send_signal(signal.SIGINT)
        try:
            _, told = process.communicate(timeout=20)
        finally:
            release.set()
    assert process.returncode == 130
    assert "whole or not at all" in told
    assert "Traceback" not in told
    assert published(hub) == {}


def test_ctrl_c_while_pulling_keeps_what_came(
    folders: Path, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(folders / "first")

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("huggingface_hub.HfApi.snapshot_download", interrupt)
    with pytest.raises(InterruptedRunError, match="goes on with it"):
        pull(REPO, tmp_path / "out")
    assert not (tmp_path / "out").exists()
