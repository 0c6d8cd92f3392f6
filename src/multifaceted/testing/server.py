"""The server: one loopback port for live requests, files and batches, from a thread of its own.

Example:
    with ChatServer(requests_per_minute=600, batch_seconds=0.1) as server:
        AsyncOpenAI(base_url=server.base_url, api_key="none")
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from multifaceted.testing.answering import TOO_MANY, Answering
from multifaceted.testing.batches import BatchDesk
from multifaceted.testing.faults import BatchFault, Fault
from multifaceted.testing.files import FileStore
from multifaceted.testing.limits import RateLimits, describe_wait
from multifaceted.testing.loopback import LoopbackServer
from multifaceted.testing.personalities import DEFAULT, find_personality
from multifaceted.testing.problems import Problem
from multifaceted.testing.replies import Answer, estimate_tokens
from multifaceted.testing.wire import send

CHAT = "/v1/chat/completions"
MAX_UPLOAD = 512 * 2**20  # bytes, OpenAI's limit for any file; a batch takes less


class ChatServer(LoopbackServer):
    """Serves `/v1/chat/completions`, `/v1/files` and `/v1/batches` on a free loopback port.

    Every argument but `port` is also an attribute that may be changed while the server runs. A request gets
    the same reply live and in a batch. Batches have no rate limit, as they have one of their own at OpenAI.

    Args:
        latency: seconds before each answer.
        api_key: the only key let in; None lets all in.
        refuse: parameters answered with HTTP 400, as reasoning models and small servers do.
        fault: called with each request's body, live or in a batch; what it returns happens. A batch ignores
            `drop`, `hang` and `headers`.
        like: name of the personality: how it writes, refuses and fails; `list_personalities` has them all.
        models: the names of models that it knows; None knows every name.
        context_tokens: of prompt and `max_tokens` together; what is longer is refused, or cut, as the
            personality does it. None sets no limit.
        port: to serve on; 0 takes a free one.
        requests_per_minute: live requests beyond it get HTTP 429, without asking `fault`; None sets no limit.
            The bucket holds one second's worth.
        tokens_per_minute: the same for the estimated tokens of prompt and reply. The bucket holds five
            seconds' worth.
        limit_headers: whether live answers carry `x-ratelimit-*` headers for the limits that are set.
        retry_after: seconds that the server's own 429 tells clients to wait; None tells nothing. A `Fault`
            brings its own headers.
        cached_tokens: prompt tokens that usage reports as cached; 0 reports none.
        reasoning_tokens: tokens that usage adds to each completion and reports as reasoning; 0 reports none.
        batch_seconds: how long each state of a batch lasts: validating, in_progress, finalizing, cancelling.
            With 0 a batch is completed at the first look. Lines are answered evenly while it is in progress.
        batch_max_requests: lines a batch may have.
        batch_max_bytes: bytes its input file may have.
        batch_fault: called with the running number, from 0, of each batch that is created, and with the body
            of its POST; says how the batch misbehaves.
        upload_errors: uploads answered with HTTP 500 before one is let in; counts down.

    Attributes:
        bodies: of every live request, in order.
        paid: answered requests, live and in batches, by content.
        keys: API keys that came with requests of any kind.
        statuses: answers of any kind by HTTP status; connections dropped without an answer are none.
        in_flight: live requests being answered.
        most_in_flight: the most of them at any time.
        personality: the one that `like` names.
        batches: batch objects as last seen, in order of creation.
        batch_lines: lines of all batches created, those refused at validation among them.
    """

    def __init__(
        self,
        *,
        latency: float = 0.0,
        api_key: str | None = None,
        refuse: tuple[str, ...] = (),
        fault: Callable[[dict[str, Any]], Fault | None] | None = None,
        like: str = DEFAULT,
        models: tuple[str, ...] | None = None,
        context_tokens: int | None = None,
        port: int = 0,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        limit_headers: bool = True,
        retry_after: float | None = 0.5,
        cached_tokens: int = 0,
        reasoning_tokens: int = 0,
        batch_seconds: float = 0.0,
        batch_max_requests: int = 50_000,
        batch_max_bytes: int = 200 * 2**20,
        batch_fault: Callable[[int, dict[str, Any]], BatchFault | None] | None = None,
        upload_errors: int = 0,
    ) -> None:
        person = find_personality(like)  # before a loop is made that nothing would close
        super().__init__(port)
        self.personality = person
        self.latency, self.api_key, self.refuse, self.fault = latency, api_key, refuse, fault
        self.models, self.context_tokens = models, context_tokens
        self.requests_per_minute, self.tokens_per_minute = requests_per_minute, tokens_per_minute
        self.limit_headers, self.retry_after = limit_headers, retry_after
        self.cached_tokens, self.reasoning_tokens = cached_tokens, reasoning_tokens
        self.batch_seconds, self.batch_fault = batch_seconds, batch_fault
        self.batch_max_requests, self.batch_max_bytes = batch_max_requests, batch_max_bytes
        self.upload_errors = upload_errors
        self.bodies: list[dict[str, Any]] = []
        self.paid: Counter[str] = Counter()
        self.keys: Counter[str] = Counter()
        self.in_flight = self.most_in_flight = 0
        self.batches: list[dict[str, Any]] = []
        self.batch_lines = 0
        self._limits = RateLimits()
        self._answering = Answering(self)

    @property
    def like(self) -> str:
        """Return the name of the personality."""
        return self.personality.name

    @like.setter
    def like(self, name: str) -> None:
        self.personality = find_personality(name)

    @property
    def base_url(self) -> str:
        """Return what a recipe names as `model.base_url`."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def repeats(self) -> int:
        """Requests answered beyond the first time: money paid twice."""
        return sum(count - 1 for count in self.paid.values())

    def _make_app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_UPLOAD, middlewares=[self._receive])
        app.router.add_post(CHAT, self._answer)
        files = FileStore(self)
        app.add_routes(files.routes())
        app.add_routes(BatchDesk(self, files, answer=self._answer_line).routes())
        app.router.add_route("*", "/{path:.*}", self._miss)
        return app

    @web.middleware
    async def _receive(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.keys[request.headers.get("Authorization", "").removeprefix("Bearer ")] += 1
        if request.path != CHAT:  # which takes its time and looks at the key after its body is noted
            await asyncio.sleep(self.latency)
            if (refusal := self._refuse_key(request)) is not None:
                return refusal
        return await handler(request)

    async def _miss(self, request: web.Request) -> web.Response:
        """Answer a request that nothing serves: a wrong path, or a wrong method."""
        wrong = self.personality.wrong_path
        if wrong is not None:
            return send(self._answering.show(wrong(request.method, request.path)))
        if request.path == CHAT:
            message = f"Not allowed to {request.method} on {CHAT}"
            return send(self._answering.show(Problem(405, message, code="method_not_supported")))
        message = f"Invalid URL ({request.method} {request.path})"
        return send(self._answering.show(Problem(404, message)))

    def _refuse_key(self, request: web.Request) -> web.Response | None:
        given = request.headers.get("Authorization", "")
        wrong = self.personality.wrong_key
        if self.api_key is None or wrong is None or given == f"Bearer {self.api_key}":
            return None
        return send(self._answering.show(wrong(given.removeprefix("Bearer "))))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json()
        except ValueError:
            message = "We could not parse the JSON body of your request."
            return send(self._answering.show(Problem(400, message)))
        self.bodies.append(body)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.latency)
            return self._refuse_key(request) or await self._respond(request, body)
        finally:
            self.in_flight -= 1

    async def _respond(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        exceeded = self._exceed_limit(body)
        headers = self._limits.headers() if self.limit_headers else {}
        refused = exceeded or self._answering.refuse(body)
        if refused is not None:
            return send(refused, headers)
        fault = self._ask_fault(body)
        await asyncio.sleep(fault.hang)
        if fault.drop and request.transport is not None:
            request.transport.close()
        return send(self._answering.settle(body, fault), headers)

    def _exceed_limit(self, body: dict[str, Any]) -> Answer | None:
        tokens = 0 if self.tokens_per_minute is None else estimate_tokens(body) + self.reasoning_tokens
        name = self._limits.admit(
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            tokens=tokens,
        )
        if name is None:
            return None
        message = f"Rate limit reached for {body.get('model')}: {name} per min."
        ordinary = Problem(TOO_MANY, message, kind=name, code="rate_limit_exceeded")
        return self._answering.show_status(ordinary, describe_wait(self.retry_after))

    def _answer_line(self, body: dict[str, Any]) -> Answer:
        return self._answering.refuse(body) or self._answering.settle(body, self._ask_fault(body))

    def _ask_fault(self, body: dict[str, Any]) -> Fault:
        return (self.fault(body) if self.fault else None) or Fault()
