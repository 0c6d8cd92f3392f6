"""`sft_small`: one row of each instruction of `sft`, chosen by seed."""

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from multifaceted.building.choice import Choice
from multifaceted.building.config import Batches, PublishedConfig, RowCheck, Seen
from multifaceted.building.configs.provenance import PROVENANCE
from multifaceted.building.configs.sft import SftRow


def _pick_small(
    config: PublishedConfig, rows: Batches, split: str, choice: Choice
) -> Iterator[pa.RecordBatch]:
    del split
    chosen = pa.array(sorted(choice.small), pa.string())
    for batch in rows:
        yield config.pick(batch.filter(pc.is_in(batch.column("id"), value_set=chosen)))


def _find_variants(name: str, seen: Seen) -> Iterator[str]:
    if PROVENANCE.name not in seen:
        return
    instructions = seen[PROVENANCE.name].notes
    counts = Counter(instructions.get(row) for ids in seen[name].ids.values() for row in ids)
    if any(count > 1 for count in counts.values()):
        yield f"config {name!r} has more than one variant of an instruction"


SFT_SMALL = PublishedConfig(
    "sft_small",
    kind="collection",
    order=20,
    summary="the same, one variant of each instruction",
    model=SftRow,
    make=_pick_small,
    rows="one",
    takes="columns",
    check=RowCheck(find=_find_variants),
)
