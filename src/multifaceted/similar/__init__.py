"""Which texts are like which: near duplicates, and overlaps with a benchmark. For prompts and rows alike."""
