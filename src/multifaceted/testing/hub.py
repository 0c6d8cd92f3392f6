"""A Hugging Face hub for datasets on a loopback port: the real client pushes to it and loads from it.

Example:
    with HubServer(fault=lambda route, number: HubFault(status=500) if route == "commit" else None) as hub:
        subprocess.run(["multifaceted", "push", ...], env={**os.environ, **hub.environment})
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from multifaceted.testing.faults import HubFault
from multifaceted.testing.hub_reads import HubReads
from multifaceted.testing.hub_store import BRANCH, HubFile, HubRefusal, HubStore
from multifaceted.testing.hub_writes import HubWrites
from multifaceted.testing.loopback import LoopbackServer, break_off

MAX_BODY = 2**30  # bytes; all is kept in memory
PUBLIC = ("upload", "verify", "validate_yaml")  # routes that ask for no token: a link's signature is enough
READS_BY_POST = ("paths",)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HubServer(LoopbackServer):
    """Serves dataset repositories as huggingface.co does, as far as `huggingface_hub` and `datasets` ask.

    Files are kept by content, so that what is here is not uploaded again. There is no Xet storage: clients
    need `HF_HUB_DISABLE_XET=1`, which `environment` has. There are no branches beside `main`, and no pull
    requests. Every argument but `port` is also an attribute that may be changed while the server runs.

    Args:
        token: the token that may write; None lets all in, and even those without any.
        read_token: one that may read everything, and write nothing.
        fault: called with the name of a route and the running number, from 0, of its requests; what it
            returns happens. Routes: `create`, `delete`, `info`, `revision`, `tree`, `paths`, `refs`,
            `commits`, `resolve`, `preupload`, `batch`, `upload`, `verify`, `commit`, `tag`, `untag`,
            `whoami`, `validate_yaml`, `xet`.
        port: to serve on; 0 takes a free one.

    Attributes:
        store: what the hub keeps.
        requests: requests that came, by route.
        statuses: answers by HTTP status; connections dropped without an answer are none.
        commits: commits that clients made.
        uploads: SHA-256 of each file uploaded to LFS, in order.
        uploaded_bytes: of all uploads, those in commits included.
    """

    def __init__(
        self,
        *,
        token: str | None = None,
        read_token: str | None = None,
        fault: Callable[[str, int], HubFault | None] | None = None,
        port: int = 0,
    ) -> None:
        super().__init__(port)
        self.token, self.read_token, self.fault = token, read_token, fault
        self.store = HubStore()
        self.requests: Counter[str] = Counter()
        self.commits = 0
        self.uploads: list[str] = []
        self.uploaded_bytes = 0

    @property
    def base_url(self) -> str:
        """Return what `HF_ENDPOINT` says."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a child process uses this hub and no other."""
        token = {} if self.token is None else {"HF_TOKEN": self.token}
        return {"HF_ENDPOINT": self.base_url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", **token}

    def create(self, repo_id: str, *, private: bool = False) -> None:
        """Make a repository, as its owner would on the site."""
        self.store.create(repo_id, private=private)

    def commit(self, repo_id: str, files: Mapping[str, bytes | None], *, title: str = "by hand") -> str:
        """Commit as somebody else; None deletes a file. Gives the commit's id."""
        kept: dict[str, HubFile | None] = {
            path: None if content is None else self.store.keep(content, lfs=b"\0" in content[:512])
            for path, content in files.items()
        }
        return self.store.commit(repo_id, kept, title=title).oid

    def read(self, repo_id: str, revision: str = BRANCH) -> dict[str, bytes]:
        """Return all files of a revision."""
        files = self.store.find(repo_id).find(revision).files
        return {path: self.store.objects[file.sha256] for path, file in sorted(files.items())}

    def _make_app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._receive])
        app.add_routes(HubReads(self.store).routes())
        app.add_routes(HubWrites(self).routes())
        return app

    @web.middleware
    async def _receive(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        route = request.match_info.route.name or "other"
        number = self.requests[route]
        self.requests[route] += 1
        fault = (self.fault(route, number) if self.fault else None) or HubFault()
        if not fault.afterwards and (broken := _break(request, fault)) is not None:
            return broken
        answer = await self._answer(request, handler, route)
        if fault.cut and isinstance(answer.body, bytes):
            return await break_off(request, answer.body, status=answer.status, headers=answer.headers)
        return (_break(request, fault) if fault.afterwards else None) or answer

    async def _answer(self, request: web.Request, handler: Handler, route: str) -> web.Response:
        try:
            self._check_token(request, route)
            answer = await handler(request)
        except HubRefusal as refusal:
            return _refuse(refusal)
        except web.HTTPNotFound:
            return _refuse(HubRefusal(404, f"this hub does not serve {request.path}", "RepoNotFound"))
        assert isinstance(answer, web.Response)  # noqa: S101 - all our handlers give one
        return answer

    def _check_token(self, request: web.Request, route: str) -> None:
        if self.token is None or route in PUBLIC:
            return
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if given not in ("", self.token, self.read_token):
            raise HubRefusal(401, "Invalid credentials in Authorization header")
        reads = request.method in ("GET", "HEAD") or route in READS_BY_POST
        if not reads and given != self.token:
            refused = (403, "you must use a write token to upload to a repository") if given else None
            raise HubRefusal(*(refused or (401, "Invalid username or password.")))
        repo_id = f"{request.match_info.get('org')}/{request.match_info.get('name')}"
        repo = self.store.repos.get(repo_id)
        if not given and "org" in request.match_info and (repo is None or repo.private):
            raise HubRefusal(401, "Invalid username or password.", "RepoNotFound")


def _break(request: web.Request, fault: HubFault) -> web.Response | None:
    """Return what a fault makes of a request, where it is not about the answer's body."""
    if fault.drop and request.transport is not None:
        request.transport.close()
    elif fault.status is None:
        return None
    return _refuse(HubRefusal(fault.status or 500, fault.message), fault.headers)


def _refuse(refusal: HubRefusal, headers: Mapping[str, str] | None = None) -> web.Response:
    told = {"X-Error-Message": refusal.message, **(headers or {})}
    if refusal.code:
        told["X-Error-Code"] = refusal.code
    return web.json_response({"error": refusal.message}, status=refusal.status, headers=told)
