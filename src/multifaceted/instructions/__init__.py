"""Reading instruction pools: `read_instructions(Path("instructions.jsonl"))`."""

from multifaceted.instructions.read import InstructionReader, read_instructions

__all__ = ["InstructionReader", "read_instructions"]
