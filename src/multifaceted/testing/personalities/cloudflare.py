"""An endpoint behind Cloudflare or another proxy: HTML pages under 520 to 530, and under 200."""

from multifaceted.testing.personalities.base import Personality, fail_once
from multifaceted.testing.problems import Problem, show_page

_TITLES = {
    200: "One moment, please...",
    403: "Just a moment...",
    429: "Too Many Requests",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway time-out",
    520: "Web server is returning an unknown error",
    521: "Web server is down",
    522: "Connection timed out",
    524: "A timeout occurred",
    525: "SSL handshake failed",
    529: "Site is overloaded",
    530: "Origin DNS error",
}


def _describe(problem: Problem) -> str:
    status = problem.http or problem.status
    return show_page(status, _TITLES.get(status, "Error"))


CLOUDFLARE = Personality(
    name="cloudflare",
    summary="HTML pages instead of JSON, under 520, 522, 524, 525, 529 and 200",
    sources=(
        "https://github.com/crmne/ruby_llm/issues/606",
        "https://github.com/anthropics/claude-code/issues/3197",
        "https://github.com/earendil-works/pi/issues/9627",
        "https://github.com/Stack-Cairn/LiveAgent/issues/608",
    ),
    describe=_describe,
    wrong_key=lambda _: Problem(403),
    troubles=tuple(fail_once(Problem(status)) for status in (520, 522, 200, 524, 525, 529)),
    one_in=2,
)
