"""The engine: ask once, pay once, repair, retry, keep the budget, stop. Whoever asks is its customer."""
