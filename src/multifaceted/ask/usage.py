"""What requests use and cost: expected before they are sent, known afterwards.

Example:
    usage = Usage({"response": model.find_price("live")})
    usage.expect(request)                # tokens; closer with every reply
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from multifaceted.errors import LimitReachedError
from multifaceted.journal import JournalSum
from multifaceted.models import Mode, Models, Price
from multifaceted.records import Reply, Request, Tally

CHARACTERS_PER_TOKEN = 4.0  # of English text, by OpenAI's rule of thumb; replaced by what endpoints report
REPLY_TOKENS = 400.0  # before the first reply is there
RAISE_BUDGET = "raise budget.max_usd in the recipe, or --max-usd, and run again: it goes on from here"
WEIGHT = 0.05  # of the newest reply in the running means


@dataclass
class _Mean:
    characters_per_token: float = CHARACTERS_PER_TOKEN
    reply_tokens: float = REPLY_TOKENS


def count_spent(tally: Tally, spent: Iterable[JournalSum]) -> None:
    """Let a tally begin with what earlier starts took."""
    for part in spent:
        tally.prompt_tokens += part.prompt_tokens
        tally.completion_tokens += part.completion_tokens
        tally.usd += part.usd


def check_usage_is_known(tally: Tally, max_usd: float | None) -> None:
    """See that a budget can still be kept, before more is spent.

    Raises:
        LimitReachedError: where a reply came of which nobody knows what it cost.
    """
    if max_usd is None or not tally.unpriced:
        return
    raise LimitReachedError(
        f"the budget of {max_usd:,.2f} USD cannot be kept: "
        f"replies came without token usage, so nobody knows what they cost (replies: {tally.unpriced:,})",
        hint="this endpoint reports no token usage: run without a budget, and it goes on from here",
    )


def find_prices(models: Models, mode: Mode) -> dict[str, Price | None]:
    """Return the price of each label's model; None where it is unknown."""
    return {label: model.find_price(mode) for label, model in models.items()}


@dataclass
class Usage:
    """Prices and running means of each label.

    Replies may come of a label that the recipe has no more; `by_model` has prices by the model they name.
    """

    prices: Mapping[str, Price | None]
    mode: Mode = "live"
    by_model: Mapping[str, Price | None] = field(default_factory=dict)
    _means: defaultdict[str, _Mean] = field(default_factory=lambda: defaultdict(_Mean))

    def expect(self, request: Request) -> float:
        """Return tokens that a request is expected to use, prompt and reply together."""
        mean = self._means[request.label]
        longest = request.max_tokens or mean.reply_tokens
        return request.characters / mean.characters_per_token + min(mean.reply_tokens, longest)

    def expect_usd(self, request: Request) -> float:
        """Return what a request is expected to cost; 0 where the price is unknown."""
        price = self.prices.get(request.label)
        if price is None:
            return 0.0
        prompt = request.characters / self._means[request.label].characters_per_token
        return price.cost(prompt=prompt, cached=0, completion=self.expect(request) - prompt)

    def learn(self, label: str, characters: int, reply: Reply | None) -> None:
        """Take a reply's counts, and the length of its prompt, into the means, where its endpoint counts."""
        if reply is None or not reply.is_counted:
            return
        mean = self._means[label]
        ratio = characters / reply.prompt_tokens
        mean.characters_per_token += WEIGHT * (ratio - mean.characters_per_token)
        mean.reply_tokens += WEIGHT * (reply.completion_tokens - mean.reply_tokens)

    def cost(self, label: str, reply: Reply, *, model: str = "") -> float | None:
        """USD of a reply; None where the price is unknown, or the endpoint reports no tokens."""
        price = self.prices[label] if label in self.prices else self.by_model.get(model)
        if price is None:
            return None
        if not (reply.is_counted or price.is_free):
            return None
        return price.cost(
            prompt=reply.prompt_tokens, cached=reply.cached_tokens, completion=reply.completion_tokens
        )
