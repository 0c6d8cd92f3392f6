"""The first half of a preparation, row by row: read, map, clean, and leave out what is not a prompt of ours.

What is sound goes into the spool; what is not goes into the dropped file with its reason and place.
"""

from hashlib import blake2b
from pathlib import Path
from typing import Any

from multifaceted.errors import InputError, Problem
from multifaceted.ids import name_prompt
from multifaceted.instructions.clean import Cleaner, DropError
from multifaceted.instructions.files import OutFiles
from multifaceted.instructions.funnel import Funnel, Reason
from multifaceted.instructions.language import LanguageFilter
from multifaceted.instructions.mapping import Candidate, NoPromptError, map_row
from multifaceted.instructions.pools import read_pool
from multifaceted.instructions.raw import RawRow
from multifaceted.instructions.sources import PoolSource, SourcesRecipe
from multifaceted.instructions.spool import Spool
from multifaceted.instructions.watch import TellStep

MAX_PROBLEMS = 100  # of one source; a wrong field would otherwise print a line for each of its rows
MAX_RAW = 2000  # characters of a broken row that are worth keeping
TELL_EVERY = 1000  # rows


class Intake:
    """Reads all sources of a recipe into a spool."""

    def __init__(self, recipe: SourcesRecipe, folder: Path, spool: Spool, files: OutFiles) -> None:
        self.funnel = Funnel()
        self.cleaner = Cleaner(recipe)
        self.system_removed = 0
        self.renamed = 0  # rows whose id another prompt has already
        self._recipe, self._folder, self._spool, self._files = recipe, folder, spool, files
        self._languages = LanguageFilter(recipe.languages) if recipe.languages else None
        self._ids: set[str] = set()
        self._seen: dict[bytes, tuple[int, int, str]] = {}  # prompt's digest → pool, line, id
        self._faults: list[Problem] = []

    def read(self, watch: TellStep) -> None:
        """Read every source.

        Raises:
            InputError: where a source cannot be read, or too many of its rows are broken.
        """
        for number, source in enumerate(self._recipe.sources):
            self._faults = []
            for count, row in enumerate(read_pool(source, self._folder), start=1):
                self.funnel.read[source.label] += 1
                self._take(row, number, source)
                if count % TELL_EVERY == 0:
                    watch(f"reading {source.label}", count, None)
            self._check_broken(source)

    def drop(self, candidate: Candidate, reason: Reason, detail: str, **partner: Any) -> None:
        """Count and write one row that is not kept."""
        source = self._recipe.sources[candidate.pool]
        self.funnel.drop(reason, source.label)
        self._files.dropped.add(
            reason=reason,
            detail=detail,
            pool=source.label,
            file=source.place,
            line=candidate.line,
            id=candidate.id,
            prompt=candidate.prompt,
            **partner,
        )

    def _take(self, row: RawRow, number: int, source: PoolSource) -> None:
        try:
            candidate = self._map(row, number, source)
        except NoPromptError as error:
            reason: Reason = "broken" if row.fault else "no_prompt"
            shown = (row.raw if row.fault else str(row.data))[:MAX_RAW]
            self._faults.append(Problem(str(self._folder / source.place), row.line, str(error)))
            self.drop(Candidate(number, row.line, shown), reason, str(error))
            return
        try:
            prompt, removed = self.cleaner.clean(candidate.prompt)
        except DropError as error:
            self.drop(candidate, error.reason, error.detail)
            return
        candidate.prompt = prompt
        self._keep(candidate, source, removed)

    def _map(self, row: RawRow, number: int, source: PoolSource) -> Candidate:
        candidate = map_row(row, number, source.fields)
        candidate.source = candidate.source or source.label
        candidate.license = candidate.license or source.license
        return candidate

    def _keep(self, candidate: Candidate, source: PoolSource, removed: str) -> None:
        other = self._languages.find_other(candidate.prompt) if self._languages else ""
        if other:
            self.drop(candidate, "language", other)
            return
        digest = blake2b(candidate.prompt.encode(), digest_size=16).digest()
        first = self._seen.get(digest)
        if first is not None:
            pool, line, name = first
            partner = Candidate(pool, line, candidate.prompt, name)
            self.drop(candidate, "duplicate", "the same prompt", **self.describe_partner(partner, 1.0))
            return
        candidate.id = self._name(candidate)
        self._seen[digest] = (candidate.pool, candidate.line, candidate.id)
        self._spool.add(candidate)
        if removed:
            self.system_removed += 1
            place = {"pool": source.label, "file": source.place, "line": candidate.line}
            self._files.changed.add(**place, id=candidate.id, prompt=candidate.prompt, removed=removed)

    def describe_partner(self, partner: Candidate, similarity: float) -> dict[str, Any]:
        """Return the columns that tell what a dropped row is like."""
        return {
            "partner_file": self._recipe.sources[partner.pool].place,
            "partner_line": partner.line,
            "partner_id": partner.id,
            "partner_prompt": partner.prompt,
            "similarity": similarity,
        }

    def _name(self, candidate: Candidate) -> str:
        """Return an id that is unlike every other row's: its own, one made of its prompt, or both."""
        name = candidate.id
        if not name or name in self._ids:
            made = name_prompt(candidate.prompt)
            self.renamed += bool(name)
            name = f"{name}-{made}" if name else made
        self._ids.add(name)
        return name

    def _check_broken(self, source: PoolSource) -> None:
        bound, rows = self._recipe.max_broken, self.funnel.read[source.label]
        if len(self._faults) > (bound if isinstance(bound, int) else bound * rows):
            shown = self._faults[:MAX_PROBLEMS]
            count = f"{len(self._faults):,} of {rows:,} rows"
            raise InputError(
                shown,
                hint=f"{count} of {source.label} have no readable prompt; name the right field in `fields`, "
                "mend the file, or raise max_broken: such rows are then dropped, counted and listed",
            )
