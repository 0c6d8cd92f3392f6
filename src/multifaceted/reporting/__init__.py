"""Looking at a run or a built folder: rows → statistics → figures → one page.

rows.py        the rows, whether they come from a run or from a built folder
statistics.py  counts, lengths, tokens, coverage of the taxonomy
diversity.py   how much texts differ from each other
figures.py     charts of the statistics
page.py        the page that holds them, with a browser over rows
"""
