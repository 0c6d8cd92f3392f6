"""Where a run lies on disk: its folder, its Arrow shards, its manifest."""
