"""Collections of a stranger: nothing but our own files come, no host is asked, and each fault is told."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import write_recipe
from fork_server import run_multifaceted
from test_generate import run

from multifaceted.building.check import check_folder
from multifaceted.building.folder import build_folder
from multifaceted.errors import HubError, StorageError
from multifaceted.ids import hash_file
from multifaceted.publishing.pull import pull
from multifaceted.publishing.push import carry_out, plan_push
from multifaceted.store.built_folder import MAX_MANIFEST
from multifaceted.testing import ChatServer, HubServer

# How the client itself calls the library that it uploads with.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
    pytest.mark.usefixtures("use_hub"),
]
REPO = "org/multifaceted_collection"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stranger")
    with ChatServer() as server:
        run(write_recipe(folder, server.base_url, count=2, variants=1), folder / "run")
    build_folder(folder / "run", folder / "built", file_format="parquet")
    return folder / "built"


def _file(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["configs"][0]["files"][0]
    return found


def _name_metadata(name: str) -> Change:
    return lambda manifest: manifest["metadata"].update({name: "0" * 64})


def _name_shard(path: str) -> Change:
    return lambda manifest: _file(manifest).update(path=path)


CHANGES: dict[str, Change] = {
    **{
        f"metadata {name}": _name_metadata(name)
        for name in (
            *(
                ".git/config",
                "datasets.py",
                "Makefile",
                "sitecustomize.py",
                "../../evil",
                "/etc/x",
                "README.MD",
            ),
            *(
                "conftest.py",
                ".huggingface.yaml",
                "dataset_infos.json",
                "sft/x.py",
                "C:evil",
                "a\\b",
                "manifest.json",
            ),
        )
    },
    **{
        f"shard {path}": _name_shard(path)
        for path in (
            *(
                "https://example.org/train-00000-of-00001.parquet",
                "hf://datasets/a/b/x.parquet",
                "../x.parquet",
            ),
            *("sft/.train-00000-of-00001.parquet", "sft/train-00000-of-00001.py", "sft/train.parquet", ""),
            *("provenance/train-00000-of-00001.parquet", "sft/train-00000-of-00001.arrow", "sft/*.parquet"),
            *("sft/../sft/train-00000-of-00001.parquet", ".git/train-00000-of-00001.parquet", "zip://x::y"),
        )
    },
    "no configs": lambda manifest: manifest.update(configs=[]),
    "no files": lambda manifest: manifest["configs"][0].update(files=[]),
    "twice": lambda manifest: manifest["configs"].append(manifest["configs"][0]),
    "no hash": lambda manifest: _file(manifest).update(sha256="../../x"),
    "negative": lambda manifest: _file(manifest).update(rows=-1),
    "other bytes": lambda manifest: _file(manifest).update(bytes=_file(manifest)["bytes"] + 1),
    "a column of no type": lambda manifest: manifest["run"].update(
        added=[{"name": "x", "type": {"a": "nonsense"}, "description": ""}]
    ),
    "a column of no name": lambda manifest: manifest["run"].update(
        added=[{"name": "__class__", "type": "string", "description": ""}]
    ),
    "another kind": lambda manifest: manifest["run"].update(kind="bench"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_manifest_that_names_what_none_of_ours_has_is_refused(
    built: Path, hub: HubServer, tmp_path: Path, name: str
) -> None:
    stranger = tmp_path / "stranger"
    shutil.copytree(built, stranger)
    manifest = json.loads((built / "manifest.json").read_text())
    CHANGES[name](manifest)
    (stranger / "manifest.json").write_text(json.dumps(manifest))
    assert check_folder(stranger)
    files = {p.relative_to(built).as_posix(): p.read_bytes() for p in built.rglob("*") if p.is_file()}
    extra = {
        path: b"import os" for path in manifest["metadata"] if path not in files and path[:1] not in "/."
    }
    hub.create(REPO)
    hub.commit(REPO, files | extra | {"manifest.json": json.dumps(manifest).encode()})
    with pytest.raises((HubError, StorageError)):
        pull(REPO, tmp_path / "there/out")
    assert not (tmp_path / "there").exists() or list((tmp_path / "there").iterdir()) == []
    ended = run_multifaceted("check", "stranger", cwd=tmp_path)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr + ended.stdout
    assert all(len(line) < 1500 for line in ended.stderr.splitlines())


def test_a_config_that_this_kind_has_not_is_named(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "x")
    (tmp_path / "x/sft").rename(tmp_path / "x/other")
    text = (built / "manifest.json").read_text()
    text = text.replace('"sft/', '"other/').replace('"name": "sft"', '"name": "other"')
    (tmp_path / "x/manifest.json").write_text(text)
    [fault] = check_folder(tmp_path / "x")
    assert "names the config 'other'" in fault


def test_long_and_deep_manifests_are_refused_at_once(built: Path, hub: HubServer, tmp_path: Path) -> None:
    hub.create(REPO)
    for content in (
        b'{"kind": "multifaceted-built", "x": "' + b"x" * MAX_MANIFEST + b'"}',
        b'{"kind": "multifaceted-built", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ):
        shutil.rmtree(tmp_path / "x", ignore_errors=True)
        shutil.copytree(built, tmp_path / "x")
        (tmp_path / "x/manifest.json").write_bytes(content)
        assert check_folder(tmp_path / "x")
        hub.commit(REPO, {"manifest.json": content})
        with pytest.raises(HubError):
            pull(REPO, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _sign(folder: Path) -> None:
    """Make the manifest true of the card, as a stranger would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["metadata"]["README.md"] = hash_file(folder / "README.md")
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: b"\xff\xfe" + text, "is not UTF-8"),
        (lambda text: text.replace(b"path: sft/", b"path: http://127.0.0.1:9/sft/"), "the files of config"),
        (
            lambda text: text.replace(b"  data_files:\n", b"  data_dir: /etc\n  data_files:\n", 1),
            "more than",
        ),
        (lambda text: b"---\na: &a [x,x]\nb: &b [*a,*a]\n" + _bomb() + text[4:], "none that can be read"),
        (lambda text: b"---\nx: " + b"[" * 100_000 + b"\n" + text[4:], "none that can be read"),
    ],
)
def test_a_false_card_is_told_and_not_followed(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes], told: str
) -> None:
    shutil.copytree(built, tmp_path / "x")
    card = tmp_path / "x/README.md"
    changed = change(card.read_bytes())
    assert changed != card.read_bytes()
    card.write_bytes(changed)
    _sign(tmp_path / "x")
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: pytest.fail("is loaded"))
    faults = check_folder(tmp_path / "x")
    assert any(told in fault for fault in faults), faults


def _bomb() -> bytes:
    return b"".join(b"c%d: &c%d [*%s,*%s]\n" % (n, n, last, last) for n, last in _names())


def _names() -> Iterator[tuple[int, bytes]]:
    return ((n, b"c%d" % (n - 1) if n else b"b") for n in range(40))


@pytest.mark.parametrize(
    "text", ['{"recordSet": 3}', '{"distribution": [1, {"@id": [2]}]}', "[1]", "[" * 100_000]
)
def test_a_false_croissant_file_is_told(built: Path, tmp_path: Path, text: str) -> None:
    shutil.copytree(built, tmp_path / "x")
    (tmp_path / "x/croissant.json").write_text(text)
    manifest = json.loads((tmp_path / "x/manifest.json").read_text())
    manifest["metadata"]["croissant.json"] = hash_file(tmp_path / "x/croissant.json")
    (tmp_path / "x/manifest.json").write_text(json.dumps(manifest))
    assert all("croissant.json" in fault for fault in check_folder(tmp_path / "x"))
    assert check_folder(tmp_path / "x")


@pytest.mark.parametrize("name", [".huggingface.yaml", "dataset_infos.json"])
def test_files_that_change_what_is_loaded_are_told(built: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(built, tmp_path / "x")
    (tmp_path / "x" / name).write_text("{}")
    [fault] = check_folder(tmp_path / "x")
    assert f"{name} was not written by multifaceted" in fault


def test_only_our_own_files_are_pushed(built: Path, hub: HubServer, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "x")
    for name in (".env", "notes.txt", "evil.py"):
        (tmp_path / "x" / name).write_text("mine")
    carry_out(plan_push(tmp_path / "x", REPO))
    names = set(hub.read(REPO))
    assert not names & {".env", "notes.txt", "evil.py"}
    assert "README.md" in names


def test_a_folder_of_somebody_is_no_place_to_pull_into(built: Path, hub: HubServer, tmp_path: Path) -> None:
    carry_out(plan_push(built, REPO))
    (tmp_path / ".out.pulling").mkdir()
    (tmp_path / ".out.pulling/notes.txt").write_text("mine")
    with pytest.raises(StorageError, match="in the way, and was not written by multifaceted"):
        pull(REPO, tmp_path / "out")
    assert (tmp_path / ".out.pulling/notes.txt").read_text() == "mine"
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert pull(REPO, tmp_path / "link").fetched
    assert (tmp_path / "link").is_symlink()
    assert check_folder(tmp_path / "real") == []
