"""How a repository is read: what it is, what it lists, and its files, whole or in part.

Example:
    GET /datasets/org/name/resolve/v1/sft/train-00000-of-00001.parquet  (Range: bytes=-8)
"""

import re
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from multifaceted.testing.hub_store import BRANCH, DATE, HubCommit, HubRefusal, HubRepo, HubStore
from multifaceted.testing.hub_writes import DATASET


@dataclass
class HubReads:
    """The handlers of everything that changes nothing."""

    store: HubStore

    def routes(self) -> list[web.RouteDef]:
        """Return the paths served here; a route's name is what it is counted under."""
        resolve = "/datasets/{org}/{name}/resolve/{revision}/{path:.+}"
        return [
            web.get("/api/whoami-v2", self._show_user, name="whoami"),
            web.get(DATASET, self._show_repo, name="info"),
            web.get(f"{DATASET}/revision/{{revision}}", self._show_repo, name="revision"),
            web.get(f"{DATASET}/tree/{{revision}}{{path:(?:/.*)?}}", self._list_tree, name="tree"),
            web.post(f"{DATASET}/paths-info/{{revision}}", self._list_paths, name="paths"),
            web.get(f"{DATASET}/refs", self._list_refs, name="refs"),
            web.get(f"{DATASET}/commits/{{revision}}", self._list_commits, name="commits"),
            web.get(resolve, self._send_file, name="resolve"),
        ]

    async def _show_user(self, request: web.Request) -> web.Response:
        if "Authorization" not in request.headers:
            raise HubRefusal(401, "Invalid username or password.")
        return web.json_response({"type": "user", "name": "loopback", "orgs": []})

    async def _show_repo(self, request: web.Request) -> web.Response:
        repo, commit = self._find(request)
        org, name = request.match_info["org"], request.match_info["name"]
        files = [file.describe(path) for path, file in sorted(commit.files.items())]
        shown: dict[str, Any] = {
            "id": f"{org}/{name}",
            "author": org,
            "sha": commit.oid,
            "private": repo.private,
            "gated": False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "createdAt": DATE,
            "lastModified": DATE,
            "siblings": [{"rfilename": file["path"]} for file in files],
        }
        return web.json_response(shown)

    async def _list_tree(self, request: web.Request) -> web.Response:
        _, commit = self._find(request)
        recursive = request.query.get("recursive", "false").lower() in ("true", "1")
        below = request.match_info["path"].strip("/")
        return web.json_response(commit.list_tree(below, recursive=recursive))

    async def _list_paths(self, request: web.Request) -> web.Response:
        _, commit = self._find(request)
        asked = set((await request.post()).getall("paths", []))
        return web.json_response([entry for entry in commit.list_tree() if entry["path"] in asked])

    async def _list_refs(self, request: web.Request) -> web.Response:
        repo, commit = self._find(request)
        tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": oid} for n, oid in repo.tags.items()]
        main = {"name": BRANCH, "ref": f"refs/heads/{BRANCH}", "targetCommit": commit.oid}
        return web.json_response({"branches": [main], "converts": [], "tags": tags, "pullRequests": []})

    async def _list_commits(self, request: web.Request) -> web.Response:
        repo, commit = self._find(request)
        upto = repo.commits[: repo.commits.index(commit) + 1]
        shown = [
            {
                "id": each.oid,
                "title": each.title,
                "message": "",
                "date": DATE,
                "authors": [{"user": "loopback"}],
            }
            for each in reversed(upto)
        ]
        return web.json_response(shown)

    async def _send_file(self, request: web.Request) -> web.Response:
        _, commit = self._find(request)
        path = request.match_info["path"]
        file = commit.files.get(path)
        if file is None:
            raise HubRefusal(404, f"{path} does not exist on {commit.oid}", "EntryNotFound")
        headers = {"ETag": f'"{file.etag}"', "X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
        if file.lfs:
            headers |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(file.size)}
        part = _read_range(request.headers.get("Range"), file.size)
        content = self.store.objects[file.sha256][part.start : part.stop]
        if len(part) == file.size:
            return web.Response(body=content, headers=headers)
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{file.size}"
        return web.Response(status=206, body=content, headers=headers)

    def _find(self, request: web.Request) -> tuple[HubRepo, HubCommit]:
        repo = self.store.find(f"{request.match_info['org']}/{request.match_info['name']}")
        return repo, repo.find(request.match_info.get("revision", BRANCH))


def _read_range(asked: str | None, size: int) -> range:
    """Return the bytes of a `Range` header, one range at most; all without one."""
    given = re.fullmatch(r"bytes=(\d*)-(\d*)", asked or "bytes=0-")
    if given is None:
        return range(size)
    first, last = given.groups()
    if not first:
        return range(max(0, size - int(last or 0)), size)
    found = range(int(first), min(size, int(last) + 1) if last else size)
    if size and not found:
        raise HubRefusal(416, f"Requested range not satisfiable: {asked} of {size} bytes")
    return found
