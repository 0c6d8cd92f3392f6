"""Random damage to replies: no run hangs or falls over, no row is lost, nothing good is asked for twice.

`MULTIFACETED_FUZZ=20000 pytest tests/test_fuzz.py` tries more of it.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from conftest import write_recipe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.errors import MultifacetedError
from multifaceted.planning import Plan, compile_plan
from multifaceted.store.manifest import RunData
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import read_status
from multifaceted.testing import ChatServer, Fault
from multifaceted.testing.replies import complete, identify_request

EXAMPLES = int(os.environ.get("MULTIFACETED_FUZZ", "25"))
SECONDS = 30  # for one run of twelve requests: a hang, and no slow machine
KEYS = (
    "choices",
    "message",
    "content",
    "finish_reason",
    "usage",
    "prompt_tokens",
    "completion_tokens",
    "error",
)
DRESSES = ("data: %s\n\n", "\ufeff%s", ": wait\n\n%s", "<html>%s", "[%s]")
AROUND = ("<think>%s", "%s</think>", "```json\n%s\n```", "Well: %s", "%s,")  # of a reply's text

VALUES = st.one_of(
    st.sampled_from(
        [None, True, -1, 2**64, -(2**64), 37.25, 1e308, float("nan"), "", "12", [], {}, "\ud83d"]
    ),
    st.text(max_size=8),
    st.dictionaries(st.sampled_from(KEYS), st.integers() | st.text(max_size=4), max_size=3),
    st.just([{"type": "text", "text": "part"}]),
    st.just({"code": 502, "message": "gone"}),
    st.just({"code": 429, "message": "slow down"}),
)
# What is done to one reply: a part of it replaced or taken out, bytes changed, or the whole in another dress.
DAMAGES = st.one_of(
    st.tuples(st.just("replace"), st.integers(0, 30), VALUES),
    st.tuples(st.just("remove"), st.integers(0, 30), st.none()),
    st.tuples(st.just("add"), st.sampled_from(KEYS), VALUES),
    st.tuples(st.just("cut"), st.integers(0, 400), st.none()),
    st.tuples(st.just("insert"), st.integers(0, 400), st.text(max_size=5)),
    st.tuples(st.just("wrap"), st.sampled_from(DRESSES), st.none()),
    st.tuples(st.just("content"), st.sampled_from(AROUND), st.none()),
    st.tuples(st.just("status"), st.sampled_from([400, 404, 429, 500, 503, 529]), st.none()),
)  # fmt: skip


def list_paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value but the whole."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from list_paths(inner, (*path, key))


def damage(body: dict[str, Any], how: tuple[str, Any, Any]) -> Fault:
    """The answer to a request, damaged."""
    kind, where, what = how
    whole = complete(body, Fault())
    if kind == "status":
        return Fault(status=where, headers={"retry-after": "0"})
    if kind == "content":
        return Fault(content=where % whole["choices"][0]["message"]["content"])
    if kind in ("replace", "remove"):
        paths = list(list_paths(whole))
        *above, key = paths[where % len(paths)]
        holder: Any = whole
        for step in above:
            holder = holder[step]
        if kind == "replace":
            holder[key] = what
        else:
            del holder[key]
    if kind == "add":
        whole["choices"][0][where] = what
    text = json.dumps(whole)
    if kind == "cut":
        text = text[:where]
    if kind == "insert":
        text = text[:where] + what + text[where:]
    if kind == "wrap":
        text = where.replace("%s", text)
    return Fault(text=text.encode("utf-8", "replace").decode())


def is_whole(answer: Fault, body: dict[str, Any]) -> bool:
    """Whether an answer holds all that matters, by a reading of its own: asking again would pay twice."""
    try:
        data = json.loads(answer.text or "")
        choice = data["choices"][0]
    except (ValueError, LookupError, TypeError):
        return False
    untouched = complete(body, Fault())["choices"][0]
    return bool(
        isinstance(choice, dict)
        and choice.get("message") == untouched["message"]
        and choice.get("finish_reason") == "stop"
        and not data.get("error")
        and not choice.get("error")
    )


class _Endpoint:
    """Answers with the next damage until there is none left; remembers what was answered well."""

    def __init__(self, damages: list[tuple[str, Any, Any]]) -> None:
        self._left = list(damages)
        self.whole: Counter[str] = Counter()

    def __call__(self, body: dict[str, Any]) -> Fault | None:
        answer = damage(body, self._left.pop()) if self._left else None
        if answer is None or is_whole(answer, body):
            self.whole[identify_request(body)] += 1
        return answer


@contextmanager
def small_run(base_url: str) -> Iterator[tuple[Plan, Path]]:
    with TemporaryDirectory() as folder:
        model = {"base_url": base_url, "name": "m", "timeout": 5, "retry_wait": 0.001, "max_attempts": 3}
        model |= {"prices": {"input": 1, "output": 2}}
        recipe = write_recipe(Path(folder), base_url, count=2, variants=2, model=model, concurrency=4)
        yield compile_plan(recipe), Path(folder) / "run"


def attempt(plan: Plan, run: Path) -> RunData | None:
    """Run to the end, or to what stops it; anything else is a bug."""

    async def bounded() -> RunData:
        async with asyncio.timeout(SECONDS):
            return await pipeline.generate(plan, run, control=RunControl())

    try:
        return asyncio.run(bounded())
    except MultifacetedError as error:
        assert error.message  # noqa: PT017 - both ends are right
        return None


SERVER = ChatServer()


def setup_module() -> None:
    SERVER.__enter__()


def teardown_module() -> None:
    SERVER.__exit__()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(damages=st.lists(DAMAGES, min_size=1, max_size=14))
def test_whatever_replies_look_like_a_run_ends_and_goes_on(damages: list[tuple[str, Any, Any]]) -> None:
    endpoint = SERVER.fault = _Endpoint(damages)
    with small_run(SERVER.base_url) as (plan, run):
        for _ in range(2 + len(damages)):  # each start meets a damage at least, or none is left
            data = attempt(plan, run)
            if data is not None and not endpoint._left:
                break
        data = attempt(plan, run)
        assert data is not None
        assert data.planned == data.ok + data.failed == 4
        assert max(endpoint.whole.values(), default=0) <= 1  # every row may have failed
        status = read_status(RunFolder(run))
        assert 0 <= status.usd < 1
        assert status.rows["pending"] == 0
