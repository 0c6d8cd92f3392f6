"""Random damage to batch objects and result files: no hang, no traceback, nothing answered is asked again.

`MULTIFACETED_FUZZ=20000 pytest tests/test_batch_fuzz.py` tries more of it.
"""

import asyncio
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_customer import LABEL, Titles

from multifaceted.ask.asker import Asker
from multifaceted.ask.control import RunControl
from multifaceted.ask.usage import Usage
from multifaceted.batch.client import BatchClient
from multifaceted.batch.collect import Collector
from multifaceted.batch.folder import BatchFolder, BatchRecord
from multifaceted.batch.replay import ReplayAsker
from multifaceted.batch.state import BatchState, read_state
from multifaceted.batch.waves import Waves
from multifaceted.chat.reply import read_reply
from multifaceted.errors import MultifacetedError
from multifaceted.ids import content_id
from multifaceted.models import EndpointModel
from multifaceted.models.sending import BatchSpec
from multifaceted.testing import Fault
from multifaceted.testing.replies import complete

EXAMPLES = int(os.environ.get("MULTIFACETED_FUZZ", "15"))
MEMORY = Path("/dev/shm")  # where there is one, nothing waits for a disk
SECONDS = 30  # for some waves of six requests: a hang, and no slow machine
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # a story is read as it is: to shrink it takes minutes
URL = "http://127.0.0.1:9/v1"
TEXTS = [f"text {number}" for number in range(6)]

VALUES = st.one_of(
    st.sampled_from([None, True, 0, -1, 7, 200, 500, 2**64, -(2**70), 37.5, 1e308, float("nan")]),
    st.sampled_from(["", "200", "7", "completed", "cancelled", "\ud83d", "text", [], {}, [{}]]),
    st.sampled_from([{"error": {"code": "x", "message": "y"}}, {"code": 402}]),
)
DRESSES = (b"\xef\xbb\xbf%s", b"[%s]", b"\xff\xfe%s", b"%s\n\x00\n")
PLACES = st.tuples(st.integers(0, 5), st.integers(0, 60))  # of a line, and of a place in it
# What is done to a file of results, or to an object: its bytes, its lines, or a part of one.
DAMAGES = st.one_of(
    st.tuples(st.just("flip"), st.integers(0, 4000), st.integers(1, 255)),
    st.tuples(st.just("cut"), st.integers(0, 4000), st.none()),
    st.tuples(st.just("splice"), st.integers(0, 4000), st.binary(max_size=6)),
    st.tuples(st.just("drop"), st.integers(0, 5), st.none()),
    st.tuples(st.just("double"), st.integers(0, 5), st.none()),
    st.tuples(st.just("join"), st.integers(0, 5), st.none()),
    st.tuples(st.just("swap"), st.integers(0, 5), st.integers(0, 5)),
    st.tuples(st.just("set"), PLACES, VALUES),
    st.tuples(st.just("remove"), PLACES, st.none()),
    st.tuples(st.just("number"), st.integers(0, 5), st.sampled_from(["9" * 400, "1e999", "-0", "9" * 5000])),
    st.tuples(st.just("wrap"), st.sampled_from(DRESSES), st.none()),
)  # fmt: skip
STATUSES = st.sampled_from(["completed"] * 5 + ["expired", "cancelled", "failed", "finalizing", "odd"])


@dataclass(frozen=True)
class Story:
    """What an endpoint makes of the first batch, at each poll until it comes to its senses, if it does."""

    objects: list[list[tuple[str, Any, Any]]]
    files: list[list[tuple[str, Any, Any]]]
    status: str
    recovers: bool
    lost_results: str


STORIES = st.builds(
    Story,
    objects=st.lists(st.lists(DAMAGES, max_size=2), max_size=3),
    files=st.lists(st.lists(DAMAGES, min_size=1, max_size=4), min_size=1, max_size=3),
    status=STATUSES,
    recovers=st.booleans(),
    lost_results=st.sampled_from(["stop", "stop", "ask_again"]),
)


def list_places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from list_places(inner, (*path, key))


def change(line: bytes, number: int, *values: Any) -> bytes:
    """A line of JSON with one of its parts replaced, or taken out where there is no value."""
    try:
        data = json.loads(line)
    except ValueError:
        return line
    places = list(list_places(data))
    if not places:
        return line
    *above, key = places[number % len(places)]
    holder: Any = data
    for step in above:
        holder = holder[step]
    if values:
        holder[key] = values[0]
    else:
        del holder[key]
    return json.dumps(data).encode()


def damage(content: bytes, how: tuple[str, Any, Any]) -> bytes:
    """A file of lines, damaged."""
    kind, where, what = how
    if kind == "wrap":
        return bytes(where.replace(b"%s", content))
    if not content.strip():
        return content
    if kind in ("flip", "cut", "splice"):
        at = where % len(content)
        flipped = bytes([content[at] ^ what]) + content[at + 1 :] if kind == "flip" else b""
        return bytes(content[:at] + (what + content[at:] if kind == "splice" else flipped))
    lines = content.splitlines()
    at = (where[0] if isinstance(where, tuple) else where) % len(lines)
    lines[at : at + 1] = damage_line(lines, at, how)
    return b"".join(line + b"\n" for line in lines)


def damage_line(lines: list[bytes], at: int, how: tuple[str, Any, Any]) -> list[bytes]:
    """What stands in place of one line."""
    kind, where, what = how
    line = lines[at]
    if kind == "set":
        return [change(line, where[1], what)]
    if kind == "remove":
        return [change(line, where[1])]
    if kind == "number":
        return [line.replace(b'"total_tokens": ', b'"total_tokens": ' + what.encode() + b', "x": ', 1)]
    if kind == "join":
        return [line + lines[at - 1]]
    if kind == "swap":
        return [lines[what % len(lines)], line]
    return {"drop": [], "double": [line, line]}[kind]


def spoil(content: bytes, damages: list[tuple[str, Any, Any]]) -> bytes:
    for how in damages:
        content = damage(content, how)
    return content


def answer_line(line: dict[str, Any]) -> bytes:
    body = {**complete(line["body"], Fault()), "id": line["custom_id"]}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return json.dumps({"custom_id": line["custom_id"], "response": response, "error": None}).encode()


def read_plainly(content: bytes) -> set[str]:
    """The custom ids of good replies in a file, by a reading of its own."""
    found: set[str] = set()
    for text in content.split(b"\n"):
        try:
            line = json.loads(text)
            reply = read_reply("", json.dumps(line["response"]["body"]))
            is_good = line["response"]["status_code"] == 200 and not line["error"]
            if is_good and reply is not None and reply.ending != "broken":
                found.add(line["custom_id"])
        except (ValueError, TypeError, LookupError, RecursionError):
            continue
    return found


@dataclass
class ScriptedClient:
    """Stands for the endpoint: true to what it was asked, but for the first batch."""

    story: Story
    asked: list[dict[str, Any]] = field(default_factory=list)  # lines of each batch, by custom id
    good: dict[str, int] = field(default_factory=dict)  # the batch that answered well, by custom id
    polls: int = 0

    async def upload(self, file: Path) -> str:
        lines = [json.loads(line) for line in file.read_text().splitlines()]  # noqa: ASYNC240
        self.asked.append({line["custom_id"]: line for line in lines})
        return f"file-{len(self.asked) - 1}"

    async def create(self, file_id: str, *, tag: str, window: str, is_new: bool) -> str:
        del tag, window, is_new
        return file_id.replace("file", "batch")

    async def poll(self, batch_id: str) -> BatchState | None:
        number = int(batch_id.partition("-")[2])
        count, status = len(self.asked[number]), "completed"
        objects: list[list[tuple[str, Any, Any]]] = []
        if number == 0:
            status, objects = self.story.status, self.story.objects
            self.polls += 1
        counts = {"total": count, "completed": count, "failed": 0}
        told = {"id": batch_id, "status": status, "output_file_id": batch_id, "request_counts": counts}
        content = json.dumps(told).encode()
        if self.polls <= len(objects) and number == 0:
            content = spoil(content, objects[self.polls - 1])
        return read_state(content.decode("utf-8", "replace"))

    async def download(self, file_id: str, path: Path, *, most: int) -> str:
        del most
        name = file_id.partition("-")[2]
        if not name.isdecimal() or int(name) >= len(self.asked):
            return "HTTP 404: no such file"
        content = b"".join(answer_line(line) + b"\n" for line in self.asked[int(name)].values())
        files = self.story.files
        if int(name) == 0 and (self.polls <= len(files) or not self.story.recovers):
            content = spoil(content, files[min(self.polls, len(files)) - 1])
        path.write_bytes(content)  # noqa: ASYNC240
        for custom_id in read_plainly(content) & self.asked[int(name)].keys():
            self.good.setdefault(custom_id, int(name))
        return ""


def run_waves(folder: Path, client: ScriptedClient) -> list[BatchRecord]:
    """Run to the end, or to what stops it; anything else is a bug."""
    model = EndpointModel(base_url=URL, name="m", max_attempts=3, prices={"input": 1, "output": 2})
    titles, models, control = Titles(folder, model, TEXTS), {LABEL: model}, RunControl()
    usage = Usage({LABEL: model.find_price("batch")}, mode="batch")
    replay = ReplayAsker(Asker({}, models=models, usage=usage, control=control))
    batches = BatchFolder(folder)
    batches.path.mkdir(exist_ok=True)
    spec = BatchSpec.model_validate(
        {"poll_seconds": 1e-6, "results_polls": 4, "lost_results": client.story.lost_results}
    )
    collector = Collector(titles, replay, models, batches, usage, spec)
    waves = Waves(collector, {URL: cast("BatchClient", client)}, None)

    async def bounded() -> None:
        async with asyncio.timeout(SECONDS):
            await waves.run(leave=0)

    try:
        asyncio.run(bounded())
    except MultifacetedError as error:
        assert error.message  # noqa: PT017 - both ends are right
        return batches.read_records()
    assert not any(record.at_work for record in batches.read_records())
    return batches.read_records()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(story=STORIES)
def test_whatever_a_batch_looks_like_nothing_answered_is_asked_again(story: Story) -> None:
    with TemporaryDirectory(dir=MEMORY if MEMORY.exists() else None) as name:
        folder, client = Path(name), ScriptedClient(story)
        run_waves(folder, client)
        records = run_waves(folder, client)  # what stopped the first start may be over
        check_account(folder, records, client)


def check_account(folder: Path, records: list[BatchRecord], client: ScriptedClient) -> None:
    """What was answered well is in the journal, and was not asked again; every request came to something."""
    journaled = read_journaled(folder)
    for custom_id, number in client.good.items():
        assert custom_id in journaled
        assert not any(custom_id in lines for lines in client.asked[number + 1 :])
    failed = {name_line(key) for record in records for key in record.failed}
    if not any(record.at_work or record.state == "refused" for record in records):
        assert {*client.asked[0]} <= journaled | failed
    story = client.story
    if story.lost_results == "stop" and story.status == "completed" and not story.objects:
        # Counts and status are right: only what has a line of its own may be asked again.
        again = {custom_id for lines in client.asked[1:] for custom_id in lines}
        assert all(is_named(custom_id, client) for custom_id in again)


def name_line(key: str) -> str:
    return content_id(["titles", key], length=32)


def read_journaled(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "titles.sqlite")) as connection:
        return {name_line(key) for (key,) in connection.execute("SELECT key FROM replies")}


def is_named(custom_id: str, client: ScriptedClient) -> bool:
    lines = [answer_line(line) + b"\n" for line in client.asked[0].values()]
    return any(custom_id.encode() in spoil(b"".join(lines), how).lower() for how in client.story.files)
