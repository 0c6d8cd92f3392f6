"""Looking at rows: which there are, and the whole story of one, from instruction to verdict.

select_rows(Path("run"), where=["dimension=style"])     rows.py
tell_story(Path("run"), "rainbow-v1")                   story.py
"""

from typing import TYPE_CHECKING, Any

from multifaceted.why.rows import select_rows

if TYPE_CHECKING:
    from multifaceted.why.story import Story, tell_story

__all__ = ["Story", "select_rows", "tell_story"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # it renders prompts again, which brings the SDK; listing rows needs none
        from multifaceted.why import story  # noqa: PLC0415

        return getattr(story, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
