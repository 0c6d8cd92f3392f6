"""Reading instruction pools: `read_instructions(Path("instructions.jsonl"))`."""

from multifaceted.instructions.columns import ColumnType, ScalarType, fit_value
from multifaceted.instructions.read import InstructionReader, read_instructions

__all__ = ["ColumnType", "InstructionReader", "ScalarType", "fit_value", "read_instructions"]
