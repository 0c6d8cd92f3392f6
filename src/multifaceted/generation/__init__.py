"""Making rows: prepared, made and closed, each row one short coroutine over its stages."""

from multifaceted.generation.loop import RowsToMake, generate_shards
from multifaceted.generation.row import RowMaker

__all__ = ["RowMaker", "RowsToMake", "generate_shards"]
