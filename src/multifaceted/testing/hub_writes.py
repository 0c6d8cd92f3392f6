"""How a push arrives: creating, asking what to upload, uploading, committing, tagging.

A client that commits asks in this order:
    preupload   which files go into LFS
    batch       which of those are missing, and where to send them
    upload      each of them
    commit      one line of JSON for each file
"""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

from multifaceted.testing.hub_store import HubFile, HubRefusal, HubRepo, HubStore

DATASET = "/api/datasets/{org}/{name}"
LARGEST_IN_GIT = 10 * 2**20  # bytes; the Hub's limit
IN_LFS = (".arrow", ".parquet")


class UploadHost(Protocol):
    """The server, as far as uploads are counted."""

    store: HubStore
    commits: int
    uploads: list[str]
    uploaded_bytes: int

    @property
    def base_url(self) -> str:
        """Return where links lead to."""


@dataclass
class HubWrites:
    """The handlers of everything that changes a repository."""

    host: UploadHost
    _signature: str = field(default_factory=secrets.token_hex)  # the upload links' own secret

    def routes(self) -> list[web.RouteDef]:
        """Return the paths served here; a route's name is what it is counted under."""
        batch = "/datasets/{org}/{name}.git/info/lfs/objects/batch"
        return [
            web.post("/api/repos/create", self._create, name="create"),
            web.delete("/api/repos/delete", self._delete, name="delete"),
            web.post("/api/validate-yaml", self._validate_yaml, name="validate_yaml"),
            web.post(f"{DATASET}/preupload/{{revision}}", self._preupload, name="preupload"),
            web.get(f"{DATASET}/xet-write-token/{{revision}}", self._refuse_xet, name="xet"),
            web.post(batch, self._offer, name="batch"),
            web.put("/upload/{oid}", self._upload, name="upload"),
            web.post("/verify", self._verify, name="verify"),
            web.post(f"{DATASET}/commit/{{revision}}", self._commit, name="commit"),
            web.post(f"{DATASET}/tag/{{revision}}", self._tag, name="tag"),
            web.delete(f"{DATASET}/tag/{{revision}}", self._untag, name="untag"),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if asked.get("type") != "dataset":
            raise HubRefusal(400, "this hub keeps datasets only")
        repo_id = f"{asked.get('organization') or 'loopback'}/{asked['name']}"
        self.host.store.create(repo_id, private=asked.get("visibility") == "private")
        return web.json_response({"url": f"{self.host.base_url}/datasets/{repo_id}", "name": repo_id})

    async def _delete(self, request: web.Request) -> web.Response:
        asked = await request.json()
        repo_id = f"{asked.get('organization') or 'loopback'}/{asked['name']}"
        self.host.store.find(repo_id)
        del self.host.store.repos[repo_id]
        return web.json_response({})

    async def _validate_yaml(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.json_response({"errors": [], "warnings": []})

    async def _preupload(self, request: web.Request) -> web.Response:
        head = self._find(request).head
        asked = await request.json()
        files = [_plan_upload(file, head.files.get(file["path"])) for file in asked["files"]]
        return web.json_response({"files": files})

    async def _refuse_xet(self, request: web.Request) -> web.Response:  # noqa: ARG002
        raise HubRefusal(404, "this hub has no Xet storage: set HF_HUB_DISABLE_XET=1")

    async def _offer(self, request: web.Request) -> web.Response:
        self._find(request)
        asked = await request.json()
        objects = [self._offer_one(entry["oid"], entry["size"]) for entry in asked["objects"]]
        return web.json_response({"transfer": "basic", "objects": objects})

    def _offer_one(self, oid: str, size: int) -> dict[str, Any]:
        if oid in self.host.store.objects:
            return {"oid": oid, "size": size}  # nothing to do: it is here
        link = f"{self.host.base_url}/upload/{oid}?signature={self._signature}"
        verify = {"href": f"{self.host.base_url}/verify"}
        return {"oid": oid, "size": size, "actions": {"upload": {"href": link}, "verify": verify}}

    async def _upload(self, request: web.Request) -> web.Response:
        if request.query.get("signature") != self._signature:
            raise HubRefusal(403, "the upload link was not signed here")
        content = await request.read()
        self.host.uploaded_bytes += len(content)
        if hashlib.sha256(content).hexdigest() != request.match_info["oid"]:
            raise HubRefusal(400, "the content does not have the announced SHA-256")
        self.host.uploads.append(self.host.store.keep(content, lfs=True).sha256)
        return web.Response()

    async def _verify(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if len(self.host.store.objects.get(asked["oid"], b"")) != asked["size"]:
            raise HubRefusal(404, "the object was not uploaded")
        return web.json_response({})

    async def _commit(self, request: web.Request) -> web.Response:
        self._find(request)
        title, parent = "", None
        changes: dict[str, HubFile | None] = {}
        for line in (await request.text()).splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "header":
                title, parent = value["summary"], value.get("parentCommit")
            else:
                changes[value["path"]] = self._read_operation(operation["key"], value)
        repo_id = _name(request)
        done = self.host.store.commit(repo_id, changes, title=title, parent=parent)
        self.host.commits += 1
        url = f"{self.host.base_url}/datasets/{repo_id}/commit/{done.oid}"
        return web.json_response({"success": True, "commitOid": done.oid, "commitUrl": url})

    def _read_operation(self, key: str, value: dict[str, Any]) -> HubFile | None:
        if key == "file":
            content = base64.b64decode(value["content"])
            self.host.uploaded_bytes += len(content)
            return self.host.store.keep(content, lfs=False)
        if key == "lfsFile":
            held = self.host.store.objects.get(value["oid"])
            if held is None:
                raise HubRefusal(400, f"LFS object {value['oid']} was not uploaded")
            return self.host.store.keep(held, lfs=True)
        if key == "deletedFile":
            return None
        raise HubRefusal(400, f"this hub does not know the operation {key}")

    async def _tag(self, request: web.Request) -> web.Response:
        repo, asked = self._find(request), await request.json()
        if asked["tag"] in repo.tags:
            raise HubRefusal(409, f"Tag reference exists already: {asked['tag']}")
        repo.tags[asked["tag"]] = repo.find(request.match_info["revision"]).oid
        return web.json_response({})

    async def _untag(self, request: web.Request) -> web.Response:
        if self._find(request).tags.pop(request.match_info["revision"], None) is None:
            raise HubRefusal(404, "there is no such tag", "RevisionNotFound")
        return web.json_response({})

    def _find(self, request: web.Request) -> HubRepo:
        return self.host.store.find(_name(request))


def _plan_upload(file: dict[str, Any], known: HubFile | None) -> dict[str, Any]:
    binary = b"\0" in base64.b64decode(file["sample"])
    large = binary or file["size"] > LARGEST_IN_GIT or file["path"].endswith(IN_LFS)
    mode = "lfs" if large else "regular"
    return {
        "path": file["path"],
        "uploadMode": mode,
        "shouldIgnore": False,
        "oid": known.etag if known else None,
    }


def _name(request: web.Request) -> str:
    return f"{request.match_info['org']}/{request.match_info['name']}"
