"""Reading instruction pools: `read_instructions(Path("instructions.jsonl"))`."""

from multifaceted.instructions.columns import ColumnType, ScalarType, fit_value
from multifaceted.instructions.memory import MemoryRows
from multifaceted.instructions.read import InstructionReader, read_instructions

__all__ = ["ColumnType", "InstructionReader", "MemoryRows", "ScalarType", "fit_value", "read_instructions"]
