"""A server that answers every request with server-sent events, also with `stream: false`."""

from multifaceted.testing.personalities.base import Personality

UNSLOTH = Personality(
    name="unsloth",
    summary="server-sent events, whatever was asked for",
    sources=(
        "https://github.com/unslothai/unsloth/issues/6570",
        "https://github.com/KenyonY/openai-forward/issues/64",
    ),
    events=True,
)
