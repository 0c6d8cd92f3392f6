"""The loopback hub, as the real `huggingface_hub` and `datasets` see it."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
from conftest import HUB_TOKEN
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder

from multifaceted.testing import HubFault, HubServer

# How the client itself calls the library that it uploads with.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
REPO = "org/name"
BINARY = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def _no_xet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.base_url, token=HUB_TOKEN)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's waits before it asks again take no time."""
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda seconds: None))


def commit(api: HfApi, files: dict[str, bytes | None], parent: str | None = None) -> str:
    operations = [
        CommitOperationDelete(path) if content is None else CommitOperationAdd(path, content)
        for path, content in files.items()
    ]
    done = api.create_commit(
        REPO, operations, commit_message="m", repo_type="dataset", parent_commit=parent, num_threads=1
    )
    return str(done.oid)


def create(api: HfApi, *, private: bool = False) -> None:
    api.create_repo(REPO, repo_type="dataset", private=private)


def test_files_come_back_as_they_were_committed(api: HfApi, hub: HubServer, tmp_path: Path) -> None:
    create(api)
    first = commit(api, {"README.md": b"# One\n", "sft/train.parquet": BINARY, "old.txt": b"old"})
    second = commit(api, {"README.md": b"# Two\n", "old.txt": None})
    folder = Path(api.snapshot_download(REPO, repo_type="dataset", local_dir=tmp_path / "new"))
    assert (folder / "README.md").read_bytes() == b"# Two\n"
    assert (folder / "sft/train.parquet").read_bytes() == BINARY
    assert not (folder / "old.txt").exists()
    older = api.hf_hub_download(
        REPO, "README.md", repo_type="dataset", revision=first, local_dir=tmp_path / "o"
    )
    assert Path(older).read_bytes() == b"# One\n"
    history = [entry.commit_id for entry in api.list_repo_commits(REPO, repo_type="dataset")]
    assert history[:2] == [second, first]
    assert (len(history), hub.commits) == (3, 2)


def test_the_tree_lists_hashes_and_folders(api: HfApi) -> None:
    create(api)
    commit(api, {"a.txt": b"text", "sft/train.parquet": BINARY, "sft/deep/b.txt": b"b"})
    tree = list(api.list_repo_tree(REPO, repo_type="dataset", recursive=True))
    assert [entry.path for entry in tree if isinstance(entry, RepoFolder)] == ["sft", "sft/deep"]
    files = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
    assert set(files) == {".gitattributes", "a.txt", "sft/deep/b.txt", "sft/train.parquet"}
    # printf text | git hash-object --stdin
    assert files["a.txt"].blob_id == "f3a34851d44d6b97c90fbb99dd3d18c261b9a237"
    in_lfs = files["sft/train.parquet"].lfs
    assert in_lfs is not None
    assert in_lfs.sha256 == hashlib.sha256(BINARY).hexdigest()
    below = [entry.path for entry in api.list_repo_tree(REPO, "sft", repo_type="dataset")]
    assert below == ["sft/deep", "sft/train.parquet"]
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(REPO, "nowhere", repo_type="dataset"))
    paths = api.get_paths_info(REPO, ["sft/train.parquet", "nothing"], repo_type="dataset")
    assert [(entry.path, getattr(entry, "size", None)) for entry in paths] == [
        ("sft/train.parquet", len(BINARY))
    ]


def test_what_the_hub_has_is_not_uploaded_again(api: HfApi, hub: HubServer) -> None:
    create(api)
    commit(api, {"a.parquet": BINARY})
    assert (len(hub.uploads), hub.uploaded_bytes) == (1, len(BINARY))
    commit(api, {"b.parquet": BINARY})
    assert (len(hub.uploads), hub.uploaded_bytes) == (1, len(BINARY))
    assert hub.read(REPO)["b.parquet"] == BINARY


def test_a_commit_on_an_old_parent_is_refused_and_changes_nothing(api: HfApi, hub: HubServer) -> None:
    create(api)
    old = commit(api, {"a.txt": b"1"})
    hub.commit(REPO, {"a.txt": b"somebody else"})
    with pytest.raises(HfHubHTTPError) as refused:
        commit(api, {"a.txt": b"2"}, parent=old)
    assert refused.value.response.status_code == 412
    assert hub.read(REPO)["a.txt"] == b"somebody else"


def test_a_commit_with_a_file_that_cannot_be_deleted_changes_nothing(api: HfApi, hub: HubServer) -> None:
    create(api)
    with pytest.raises(EntryNotFoundError):
        commit(api, {"a.txt": b"1", "nothing.txt": None})
    assert list(hub.read(REPO)) == [".gitattributes"]


def test_tags_name_commits_and_do_not_move(api: HfApi) -> None:
    create(api)
    first = commit(api, {"a.txt": b"1"})
    api.create_tag(REPO, tag="v1", repo_type="dataset")
    commit(api, {"a.txt": b"2"})
    assert api.dataset_info(REPO, revision="v1").sha == first
    with pytest.raises(HfHubHTTPError) as refused:
        api.create_tag(REPO, tag="v1", repo_type="dataset")
    assert refused.value.response.status_code == 409
    api.delete_tag(REPO, tag="v1", repo_type="dataset")
    assert api.list_repo_refs(REPO, repo_type="dataset").tags == []
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(REPO, revision="v1")


def test_files_are_served_in_parts(api: HfApi, hub: HubServer) -> None:
    create(api)
    revision = commit(api, {"a.parquet": BINARY})
    url = f"{hub.base_url}/datasets/{REPO}/resolve/{revision}/a.parquet"
    headers = {"Authorization": f"Bearer {HUB_TOKEN}"}
    for asked, expected in (
        ("bytes=0-9", BINARY[:10]),
        ("bytes=-8", BINARY[-8:]),
        ("bytes=10000-", BINARY[10_000:]),
    ):
        part = httpx2.get(url, headers={**headers, "Range": asked})
        assert (part.status_code, part.content) == (206, expected)
    assert httpx2.get(url, headers={**headers, "Range": "bytes=99999-"}).status_code == 416
    head = httpx2.head(url, headers=headers)
    assert head.headers["X-Repo-Commit"] == revision
    assert int(head.headers["Content-Length"]) == len(BINARY)


def test_who_may_do_what(api: HfApi, hub: HubServer) -> None:
    hub.read_token = "hf_reader"
    create(api, private=True)
    reader, stranger, forger = (
        HfApi(endpoint=hub.base_url, token=token) for token in ("hf_reader", False, "hf_forged")
    )
    assert reader.dataset_info(REPO).private
    with pytest.raises(RepositoryNotFoundError):
        stranger.dataset_info(REPO)
    statuses = []
    for someone in (reader, stranger, forger):
        with pytest.raises(HfHubHTTPError) as refused:
            commit(someone, {"a.txt": b"1"})
        statuses.append(refused.value.response.status_code)
    assert statuses == [403, 401, 401]
    assert list(hub.read(REPO)) == [".gitattributes"]


def only(route: str, fault: HubFault, *, times: int = 1) -> Callable[[str, int], HubFault | None]:
    return lambda name, number: fault if name == route and number < times else None


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", [HubFault(status=503), HubFault(drop=True)])
def test_the_client_gets_over_one_failed_upload(api: HfApi, hub: HubServer, fault: HubFault) -> None:
    create(api)
    hub.fault = only("upload", fault)
    commit(api, {"a.parquet": BINARY})
    assert hub.requests["upload"] == 2
    assert hub.read(REPO)["a.parquet"] == BINARY


@pytest.mark.usefixtures("impatient")
def test_a_download_that_breaks_off_is_asked_for_again(api: HfApi, hub: HubServer, tmp_path: Path) -> None:
    create(api)
    commit(api, {"a.parquet": BINARY})
    sent = []

    def cut_first_body(route: str, number: int) -> HubFault | None:
        if route == "resolve":
            sent.append(number)
        return HubFault(cut=True) if route == "resolve" and len(sent) == 2 else None  # after a HEAD

    hub.fault = cut_first_body
    path = api.hf_hub_download(REPO, "a.parquet", repo_type="dataset", local_dir=tmp_path)
    assert Path(path).read_bytes() == BINARY
    assert len(sent) == 3


def test_a_fault_may_strike_after_the_deed(api: HfApi, hub: HubServer) -> None:
    create(api)
    hub.fault = only("commit", HubFault(drop=True, afterwards=True))
    with pytest.raises(httpx2.RemoteProtocolError):
        commit(api, {"a.txt": b"1"})
    assert hub.read(REPO)["a.txt"] == b"1"


def test_xet_is_refused_with_what_to_set(api: HfApi, hub: HubServer) -> None:
    create(api)
    url = f"{hub.base_url}/api/datasets/{REPO}/xet-write-token/main"
    answer = httpx2.get(url, headers={"Authorization": f"Bearer {HUB_TOKEN}"})
    assert (answer.status_code, "HF_HUB_DISABLE_XET=1" in answer.text) == (404, True)


# It leaves without tidying up: a Parquet stream's read-ahead threads may abort an interpreter that ends.
PROGRAM = """
import os
from datasets import Dataset, load_dataset
from datasets.config import HF_ENDPOINT

rows = [{"id": f"r{n}", "text": "word " * n} for n in range(50)]
for config in ("one", "two"):
    Dataset.from_list(rows).push_to_hub("org/made", config, private=True)
assert load_dataset("org/made", "two", split="train").to_list() == rows
assert list(load_dataset("org/made", "one", split="train", streaming=True)) == rows
print(HF_ENDPOINT, flush=True)
os._exit(0)
"""


def test_datasets_pushes_and_loads_through_it(hub: HubServer, tmp_path: Path) -> None:
    environment = {**os.environ, **hub.environment, "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == hub.base_url
    assert hub.store.repos["org/made"].private
