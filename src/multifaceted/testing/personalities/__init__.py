"""How real endpoints behave, as named values; `ChatServer(like="litellm")` takes one by its name.

Example:
    find_personality("openrouter").summary
    [person.name for person in list_personalities()]

A personality is a file with one value, listed here. Its sources are the documents and public threads by which
it was made.
"""

from multifaceted.testing.personalities.anthropic import ANTHROPIC
from multifaceted.testing.personalities.azure import AZURE
from multifaceted.testing.personalities.base import Personality
from multifaceted.testing.personalities.bedrock_gateway import BEDROCK_GATEWAY
from multifaceted.testing.personalities.cloudflare import CLOUDFLARE
from multifaceted.testing.personalities.deepseek_r1 import DEEPSEEK_R1
from multifaceted.testing.personalities.gemini import GEMINI
from multifaceted.testing.personalities.litellm import LITELLM
from multifaceted.testing.personalities.llamacpp import LLAMA_CPP
from multifaceted.testing.personalities.llamacpp_python import LLAMA_CPP_PYTHON
from multifaceted.testing.personalities.lm_studio import LM_STUDIO
from multifaceted.testing.personalities.mistral import MISTRAL
from multifaceted.testing.personalities.ollama import OLLAMA
from multifaceted.testing.personalities.openai import OPENAI
from multifaceted.testing.personalities.openrouter import OPENROUTER
from multifaceted.testing.personalities.unsloth import UNSLOTH
from multifaceted.testing.personalities.vllm import VLLM
from multifaceted.yamlfile import suggest

__all__ = ["DEFAULT", "Personality", "find_personality", "list_personalities"]

DEFAULT = OPENAI.name
_ALL = (
    *(
        OPENAI,
        VLLM,
        LLAMA_CPP,
        LLAMA_CPP_PYTHON,
        OLLAMA,
        LM_STUDIO,
        LITELLM,
        OPENROUTER,
        AZURE,
        GEMINI,
        ANTHROPIC,
    ),
    *(DEEPSEEK_R1, MISTRAL, BEDROCK_GATEWAY, CLOUDFLARE, UNSLOTH),
)


def list_personalities() -> tuple[Personality, ...]:
    """Return all personalities, the default first."""
    return _ALL


def find_personality(name: str) -> Personality:
    """Return a personality by its name.

    Raises:
        ValueError: where there is none of that name; it tells the nearest one.
    """
    for person in _ALL:
        if person.name == name:
            return person
    raise ValueError(f"no personality {name!r}{suggest(name, [person.name for person in _ALL])}")
