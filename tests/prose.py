"""A loopback model that writes rows good enough to pass every filter, and spoils those it is told to.

Example:
    with ChatServer(fault=answer_in_prose(spoil={"Question 3": "I cannot help with that."})) as server:
"""

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from multifaceted.testing import Fault, make_reply

WORDS = (
    *("harbor", "lantern", "gravel", "meadow", "ferry", "winter", "copper"),
    *("ladder", "orchard", "kettle", "violin", "granite", "pepper", "sparrow"),
    *("marble", "thunder", "velvet", "compass", "barley", "anchor", "pencil"),
    *("cellar", "bridge", "saffron", "hollow", "timber", "ribbon", "pebble"),
    *("cotton", "basket", "candle", "furnace", "island", "needle", "oyster"),
    *("parcel", "quarry", "rafter", "saddle", "tunnel", "umbrella", "valley"),
)


def answer_in_prose(
    *, spoil: Mapping[str, str] | None = None, same: Mapping[str, str] | None = None
) -> Callable[[dict[str, Any]], Fault | None]:
    """Make a `fault` for `ChatServer`.

    Args:
        spoil: a piece of the instruction → the response to it, in the variants whose seed is even.
        same: a piece of the instruction → the response to it in every variant.
    """
    spoiled, always = dict(spoil or {}), dict(same or {})

    def answer(body: dict[str, Any]) -> Fault | None:
        generator = random.Random(json.dumps(body["messages"]) + str(body.get("seed")))
        system, user = body["messages"][0]["content"], body["messages"][-1]["content"]
        if "response_format" in body:
            return Fault(content=_describe(body, generator))
        if user.startswith("Descriptions:"):
            return Fault(
                content=f"You are a {generator.choice(WORDS)} keeper. " + _write(generator, 6, "You trust")
            )
        for piece, text in always.items():
            if piece in user:
                return Fault(content=text)
        for piece, text in spoiled.items():
            if piece in user and body["seed"] % 2 == 0:
                return Fault(content=text)
        assert system
        return Fault(content=_write(generator, 5, "Think of the"))

    return answer


def _describe(body: dict[str, Any], generator: random.Random) -> str:
    data = json.loads(make_reply(body))
    for entry in data.values():
        entry.update(preference=_words(generator, 2), description=_write(generator, 1, "The reader wants"))
    return json.dumps(data)


def _write(generator: random.Random, sentences: int, start: str) -> str:
    return " ".join(f"{start} {_words(generator, 9)}." for _ in range(sentences))


def _words(generator: random.Random, count: int) -> str:
    return " ".join(generator.choices(WORDS, k=count))
