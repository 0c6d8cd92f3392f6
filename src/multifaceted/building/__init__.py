"""What `build` and `check` do: a run becomes a folder that `load_dataset` opens; every fault of it is found.

configs/           the published sets, one file each; config.py says what one is
source.py          opening a run folder or a built folder, and reading its rows
write.py           the shards of every config
card.py            the dataset card; croissant.py the same for programs
folder.py          `build`: all of it, whole or not at all
check.py           `check`: files, rows, card, and that `datasets` loads it
"""
