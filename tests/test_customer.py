"""A customer of the engine that is neither rows nor judges: everything it needs stands here."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from multifaceted.ask.channel import Channel, NoReplyError
from multifaceted.ask.control import RunControl
from multifaceted.ask.opened import open_asker
from multifaceted.batch import Group, answer, do_jobs
from multifaceted.errors import LimitReachedError
from multifaceted.journal import sum_replies
from multifaceted.models import EndpointModel
from multifaceted.models.sending import BatchSpec, SendingSpec
from multifaceted.prompts.reply import parse_text
from multifaceted.prompts.template import load_repair
from multifaceted.records import Message, Request
from multifaceted.testing import BatchFault, ChatServer, Fault

LABEL = "title"
BATCH = SendingSpec(mode="batch", batch=BatchSpec(poll_seconds=0.01))


@dataclass(frozen=True)
class Titles:
    """Asks for a title of each text."""

    path: Path
    model: EndpointModel
    texts: list[str]

    def groups(self) -> Iterator[Group[str]]:
        yield Group("titles", (partial(self.entitle, text) for text in self.texts))

    def journal_file(self, name: str) -> Path:
        return self.path / f"{name}.sqlite"

    def lock(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()

    async def entitle(self, text: str, channel: Channel) -> str:
        turns = (Message("user", f"A title for: {text}"),)
        request = Request(LABEL, text, self.model.name, turns, self.model.parameters(len(text)))
        try:
            exchange = await channel.ask(request, read=parse_text, repair=load_repair())
        except NoReplyError as fault:
            return f"none: {fault.kind}"
        return exchange.value


def run(titles: Titles, spec: SendingSpec, *, max_usd: float | None = None) -> list[str]:
    found: list[str] = []

    async def main() -> None:
        control = RunControl()
        async with (
            open_asker({LABEL: titles.model}, concurrency=4, control=control, max_usd=max_usd) as asker,
            answer(asker, titles, spec) as asks,
        ):
            await do_jobs(titles, asks, found.append)

    asyncio.run(main())
    return found


def make_titles(server: ChatServer, path: Path, **model: Any) -> Titles:
    spec = EndpointModel(base_url=server.base_url, name="m", retry_wait=0.01, **model)
    path.mkdir(exist_ok=True)
    return Titles(path, spec, [f"text {number}" for number in range(12)])


def test_results_come_in_order_and_are_paid_once(server: ChatServer, tmp_path: Path) -> None:
    titles = make_titles(server, tmp_path)
    found = run(titles, SendingSpec())
    assert len(set(found)) == 12
    assert run(titles, SendingSpec()) == found
    assert len(server.bodies) == 12
    [spent] = sum_replies(titles.journal_file("titles"))
    assert (spent.stage, spent.model, spent.replies) == (LABEL, "m", 12)


def test_batches_give_the_same_results(server: ChatServer, tmp_path: Path) -> None:
    live = run(make_titles(server, tmp_path / "live"), SendingSpec())
    server.bodies.clear()
    server.batch_fault = lambda number, body: BatchFault(expired_after=5) if number == 0 else None
    assert run(make_titles(server, tmp_path / "batch"), BATCH) == live
    assert (server.bodies, server.batch_lines) == ([], 12 + 7)


def test_a_failure_is_a_result_and_a_budget_stops_it(server: ChatServer, tmp_path: Path) -> None:
    refuse = Fault(content="", refusal="no")
    server.fault = lambda body: refuse if "text 3" in body["messages"][0]["content"] else None
    assert run(make_titles(server, tmp_path / "a"), SendingSpec())[3] == "none: refused"
    dear = make_titles(server, tmp_path / "b", prices={"input": 1e6, "output": 1e6})
    with pytest.raises(LimitReachedError, match="budget"):
        run(dear, SendingSpec(), max_usd=5)
    assert sum_replies(dear.journal_file("titles"))[0].replies < 12
