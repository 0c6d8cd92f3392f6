"""OpenAI's own API, as every other personality is compared with it."""

from multifaceted.testing.personalities.base import Personality

OPENAI = Personality(
    name="openai",
    summary="OpenAI's own API; the default",
    sources=("https://platform.openai.com/docs/api-reference/chat",),
)
