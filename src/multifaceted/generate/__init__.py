"""Making rows: prepared, made and closed, each row one short coroutine over its stages."""

from multifaceted.generate.loop import RowsToMake, generate_shards
from multifaceted.generate.row import RowMaker

__all__ = ["RowMaker", "RowsToMake", "generate_shards"]
