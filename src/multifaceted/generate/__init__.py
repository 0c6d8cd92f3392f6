"""Making rows: one short coroutine a row over `ask`, and the bounded loop over all rows."""

from multifaceted.generate.ask import Asker
from multifaceted.generate.loop import generate_shards
from multifaceted.generate.row import RowMaker

__all__ = ["Asker", "RowMaker", "generate_shards"]
