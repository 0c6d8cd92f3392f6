"""The whole story of one row, from instruction to verdict: `tell_story(Path("run"), "rainbow-v1")`."""

from multifaceted.why.story import Story, tell_story

__all__ = ["Story", "tell_story"]
