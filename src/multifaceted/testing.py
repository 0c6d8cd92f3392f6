"""Public fakes: a loopback chat server, OpenAI-compatible, that misbehaves on demand.

    with ChatServer(fault=lambda body: Fault(status=500) if body["seed"] % 10 == 0 else None) as server:
        LiveClient(server.base_url, api_key="", timeout=5)

Its answers are fixed by the request (messages, seed, response format), so equal runs get equal replies.
"""

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from multifaceted.ids import content_id

_WORDS = (
    *("answer", "careful", "clear", "detail", "example", "gentle", "honest", "idea", "kind", "learn"),
    *("light", "measure", "patient", "plain", "question", "reader", "reason", "share", "simple", "step"),
    *("story", "sure", "teach", "thing", "think", "useful", "voice", "warm", "word"),
)


@dataclass(frozen=True)
class Fault:
    """One way of misbehaving. The default `status` of 200 sends `text` as if it were a completion."""

    status: int = 200
    text: str | None = None  # the whole body; None: a fitting error, or the ordinary reply
    headers: dict[str, str] = field(default_factory=dict)
    content: str | None = None  # replaces the text of the reply
    finish_reason: str = "stop"
    refusal: str | None = None
    drop: bool = False  # close the connection without an answer
    hang: float = 0.0  # seconds of silence first


class ChatServer:
    """Serves `/v1/chat/completions` on a free loopback port, from a thread of its own.

    Args:
        latency: seconds before each answer.
        api_key: the only key let in; None lets all in.
        refuse: parameters answered with HTTP 400, as reasoning models and small servers do.
        fault: called with each request's body; what it returns happens.
    """

    def __init__(
        self,
        *,
        latency: float = 0.0,
        api_key: str | None = None,
        refuse: tuple[str, ...] = (),
        fault: Callable[[dict[str, Any]], Fault | None] | None = None,
        port: int = 0,
    ) -> None:
        self.latency, self.api_key, self.refuse, self.fault = latency, api_key, refuse, fault
        self.port = port
        self.bodies: list[dict[str, Any]] = []  # of every request, in order
        self.paid: Counter[str] = Counter()  # answered requests by content
        self.keys: Counter[str] = Counter()  # API keys that came with requests
        self.in_flight = self.most_in_flight = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def base_url(self) -> str:
        """What a recipe names as `model.base_url`."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def repeats(self) -> int:
        """Requests answered beyond the first time: money paid twice."""
        return sum(count - 1 for count in self.paid.values())

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):  # answers that would hang for longer than the server
            task.cancel()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.keys[request.headers.get("Authorization", "").removeprefix("Bearer ")] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.latency)
            return await self._respond(request, body)
        finally:
            self.in_flight -= 1

    async def _respond(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if self.api_key is not None and request.headers.get("Authorization") != f"Bearer {self.api_key}":
            return _error(401, f"Incorrect API key provided: {request.headers.get('Authorization')}")
        for name in self.refuse:
            if name in body or body.get("response_format", {}).get("type") == name:
                instead = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
                what = "response_format" if name.startswith("json_") else name
                return _error(
                    400, f"Unsupported parameter: '{what}' is not supported with this model.{instead}"
                )
        fault = (self.fault(body) if self.fault else None) or Fault()
        await asyncio.sleep(fault.hang)
        if fault.drop and request.transport is not None:
            request.transport.close()
        if fault.text is not None:
            return web.Response(status=fault.status, text=fault.text, headers=fault.headers)
        if fault.status != 200:  # noqa: PLR2004
            return _error(fault.status, "the server misbehaves on demand", fault.headers)
        self.paid[content_id([body["messages"], body.get("seed")])] += 1
        return web.json_response(_complete(body, fault))


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"message": message, "code": None}}, status=status, headers=headers)


def _complete(body: dict[str, Any], fault: Fault) -> dict[str, Any]:
    content = fault.content
    if content is None and fault.refusal is None:
        content = make_reply(body)
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, "refusal": fault.refusal},
        "finish_reason": fault.finish_reason,
    }
    prompt_tokens, completion_tokens = len(json.dumps(body["messages"])) // 4, len(content or "") // 4
    return {
        "id": "chatcmpl-loopback",
        "object": "chat.completion",
        "model": body["model"],
        "choices": [choice],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }


def make_reply(body: dict[str, Any]) -> str:
    """The text this server answers with: an instance of the asked-for schema, or forty words."""
    generator = random.Random(content_id([body["messages"], body.get("seed")]))  # noqa: S311 - no secret
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    if schema is not None:
        return json.dumps(_instance(schema, generator))
    return _words(generator, 40)


def _instance(schema: dict[str, Any], generator: random.Random) -> Any:
    if "const" in schema:
        return schema["const"]
    if schema.get("type") == "object":
        return {name: _instance(inner, generator) for name, inner in schema["properties"].items()}
    return _words(generator, 8)[: schema.get("maxLength")]


def _words(generator: random.Random, count: int) -> str:
    return " ".join(generator.choices(_WORDS, k=count)).capitalize() + "."
