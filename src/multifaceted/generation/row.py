"""One row: every stage of the run asked of its model and read, one after the other.

Example:
    made = await maker.make(task, channel)      # a Row, or a Failure that says why not
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from multifaceted.ask.channel import Channel, Exchange, NoReplyError, finish_all
from multifaceted.chat.access_fingerprint import fingerprint_access
from multifaceted.chat.factory import BACKENDS
from multifaceted.errors import InputError
from multifaceted.ids import seed_from
from multifaceted.instructions import fit_value
from multifaceted.planning import Plan
from multifaceted.records import Failure, Request, Row, RowTask, StageRecord, TokenCount
from multifaceted.stages import Draft, Stage


@dataclass(frozen=True)
class RowMaker:
    """Everything that rows share. `model_names` are the names that go into requests and their keys."""

    plan: Plan
    model_names: Mapping[str, str]  # by stage

    async def make(self, task: RowTask, channel: Channel) -> Row | Failure:
        """Make one row; whatever happens to it alone becomes a failure record.

        Raises:
            FatalEndpointError, StorageError, InterruptedRunError: what stops the whole run.
        """
        draft = self.plan.prompts.draft(task)
        columns: dict[str, Any] = {}
        for stage in self.plan.stages:
            try:
                columns |= await self.ask_stage(stage, draft, channel)
            except NoReplyError as fault:
                return self._to_failure(task, fault)
            except InputError as fault:  # of what this row holds, which others need not
                return Failure(task.id, "template_error", stage.name, fault.message, "", retryable=False)
        return self._to_row(task, columns)

    async def ask_stage(self, stage: Stage, draft: Draft, channel: Channel) -> dict[str, Any]:
        """Ask one stage, add what it made to the draft, and return its two columns: what it made, and how.

        Raises:
            NoReplyError, MissingReply: where nothing came that can be used, or nothing was sent.
            InputError: where its template fails on this row.
            FatalEndpointError, StorageError, InterruptedRunError: what stops the whole run.
        """
        parts = stage.list_parts(draft)
        exchanges = await finish_all([self._ask_about(stage, draft.about(part), channel) for part in parts])
        values = [exchange.value for exchange in exchanges]
        records = [self._record(stage, exchange) for exchange in exchanges]
        value, record = (values, records) if stage.per_preference else (values[0], records[0])
        draft.add(stage, value)
        return {stage.column: value, stage.record: record}

    async def _ask_about(self, stage: Stage, draft: Draft, channel: Channel) -> Exchange[Any]:
        request = self._request(stage, draft)
        try:
            return await channel.ask(
                request, read=partial(stage.read, draft), repair=self.plan.prompts.repair
            )
        except NoReplyError as fault:
            if draft.part is not None:
                fault.message = f"{draft.part.dimension}: {fault.message}"
            raise

    def _request(self, stage: Stage, draft: Draft) -> Request:
        model = self.plan.models[stage.name]
        # Tells the requests of one stage apart, where it asks more than once.
        part = [draft.part.dimension] if draft.part is not None else []
        return Request(
            label=stage.name,
            row_id=draft.task.id,
            model=self.model_names[stage.name],
            messages=self.plan.prompts.render(stage, draft),
            parameters=model.parameters(seed_from(draft.task.seed, stage.name, *part)),
            schema=stage.schema(draft, small=model.small),
            structured_output=model.structured_output,
            whole_endings=model.whole_endings,
            inline_reasoning=model.reasoning == "inline",
            stated=model.stated,
        )

    def _record(self, stage: Stage, exchange: Exchange[Any]) -> StageRecord:
        asked, replies = self.model_names[stage.name], exchange.replies
        thoughts = [r.reasoning for r in replies] if self.plan.models[stage.name].reasoning == "keep" else []
        named = replies[-1].model if BACKENDS[self.plan.models[stage.name].kind].names_itself else ""
        return StageRecord(
            model=named or asked,
            request_key=exchange.key,
            template=self.plan.prompts.templates[stage.name].hash,
            tokens=TokenCount(
                prompt=sum(reply.prompt_tokens for reply in replies),
                completion=sum(reply.completion_tokens for reply in replies),
            ),
            reasoning="\n\n".join(filter(None, thoughts)),
        )

    def _to_row(self, task: RowTask, columns: Mapping[str, Any]) -> Row:
        taxonomy, instruction = self.plan.prompts.index, task.instruction
        return self.plan.row_type(
            id=task.id,
            instruction_id=instruction.id,
            variant=task.variant,
            main_source=instruction.source,
            original_source=instruction.original_source,
            prompt=instruction.prompt,
            seed=task.seed,
            seed_preferences=list(task.sampled.ids),
            taxonomy_version=taxonomy.taxonomy.version,
            taxonomy_fingerprint=taxonomy.fingerprint,
            **columns,
            **{
                name: fit_value(instruction.metadata.get(name), kind) for name, kind in self.plan.kept.items()
            },
        )

    def _to_failure(self, task: RowTask, fault: NoReplyError) -> Failure:
        request = fault.request
        failure = Failure(
            task.id, fault.kind, request.label, fault.message, request.key, fault.retryable, fault.cut_at
        )
        if fault.kind != "request_rejected":
            return failure
        return replace(failure, asked_with=fingerprint_access(self.plan.models[request.label]))
