"""Looking at rows: which there are, and the whole story of one, from instruction to verdict.

iter_rows("run", where=["dimension=style"])     rows.py
tell_story(Path("run"), "rainbow-v1")           story.py
"""
