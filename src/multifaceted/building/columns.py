"""Columns that several configs share, with what the card and the reference say of them.

Example:
    class SftRow(BaseModel):
        id: RowId
        prompt: Prompt
"""

from typing import Annotated

from pydantic import Field

RowId = Annotated[
    str,
    Field(description="the instruction's id and the variant; equal ids mean the same row in every config"),
]
MainSource = Annotated[
    str, Field(description="where the instruction was taken from; empty where nothing was said")
]
OriginalSource = Annotated[
    str, Field(description="where that source has it from; empty where nothing was said")
]
SystemMessage = Annotated[
    str, Field(description="the system message, written from the descriptions of the preference set only")
]
Prompt = Annotated[str, Field(description="the instruction, as its source has it")]
