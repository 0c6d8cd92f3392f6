"""`why`: the whole story of one row."""

from typing import Annotated, Any

import typer

import multifaceted as mf
from multifaceted.cli.options import Json, Moved, Run
from multifaceted.terminal import show
from multifaceted.terminal.rows import describe_finding, shorten


def why(
    run: Run,
    row_id: Annotated[str, typer.Argument(help="A row's id, such as rainbow-v1.", metavar="ROW")],
    *,
    recipe: Moved = None,
    brief: Annotated[
        bool, typer.Option("--brief", help="Only instruction, texts, outcome and cost.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show everything about one row: instruction, prompts, replies, outcome, cost and verdict.

    Works for failed rows, and for rows that are not finished: then it shows the requests so far.

    Example: `multifaceted why run rainbow-v1`
    """
    story = mf.open_run(run).why(row_id, recipe=recipe).as_dict()
    if as_json:
        show.data(story)
        return
    _show_origin(story, brief=brief)
    for turn in story["turns"] if not brief else ():
        _show_turn(turn)
    if brief and not story["made"]:
        _show_told(story["turns"])
    _show_outcome(story, brief=brief)
    _show_verdict(story)
    for remark in story["remarks"]:
        show.text(f"note: {remark}")


def _show_origin(story: dict[str, Any], *, brief: bool) -> None:
    instruction = story["instruction"]
    show.rule(f"{story['id']}: {story['outcome']}, in shard {story['shard']}")
    if instruction:
        source = " / ".join(part for part in (instruction["source"], instruction["original_source"]) if part)
        names = [f"instruction {instruction['id']}", f"variant {instruction['variant']}", source]
        show.text(f"[{', '.join(name for name in names if name)}]")
        show.text(instruction["prompt"])
    if story["sampled"] and not brief:
        show.text("[sampled preferences]")
        for preference in story["sampled"]:
            show.text(f"  {preference}")


def _show_turn(turn: dict[str, Any]) -> None:
    show.rule(f"{turn['stage']}{', repair' if turn['repairs'] else ''}, request {turn['key'][:12]}")
    # A repair repeats the turns before it.
    messages = turn["messages"][-1:] if turn["repairs"] else turn["messages"]
    for message in messages:
        show.text(f"[{message['role']}] {message['content']}")
    for reply in turn["replies"]:
        show.text(_describe_reply(reply))
        if reply["reasoning"]:
            show.text(f"[reasoning, no part of the text] {shorten(reply['reasoning'])}")
        text = reply["refusal"] or reply["text"] or reply["body"] or "(no text)"
        show.text(f"[reply] {text}")
    if not turn["replies"]:
        show.text("(no reply)")


def _show_told(turns: list[dict[str, Any]]) -> None:
    """What came of each request, of a row that failed or is not done."""
    for turn in turns:
        if turn["replies"]:
            reply = turn["replies"][-1]
            show.text(
                f"[{turn['stage']}] {shorten(reply['refusal'] or reply['text'] or reply['body'] or '')}"
            )


def _describe_reply(reply: dict[str, Any]) -> str:
    tokens = f"{reply['prompt_tokens']:,} + {reply['completion_tokens']:,} tokens"
    usd = "unknown price" if reply["usd"] is None else f"{reply['usd']:.6f} USD"
    seconds = "" if reply["seconds"] is None else f", {reply['seconds']:.2f} s"
    more = [
        f"finish reason {reply['finish_reason']}" if reply["finish_reason"] not in ("stop", None) else "",
        "set aside, asked again" if reply["set_aside"] else "",
    ]
    said = "".join(f", {word}" for word in more if word)
    return f"(attempt {reply['attempt']}, {reply['model']}, {reply['mode']}: {tokens}, {usd}{seconds}{said})"


def _show_outcome(story: dict[str, Any], *, brief: bool) -> None:
    if not brief:
        show.rule("what came of it")
    if story["outcome"] == "pending":
        show.text(_describe_waiting(story["waiting"]))
    if story["failure"]:
        failure = story["failure"]
        again = "asking again may help" if failure["retryable"] else "asking again changes nothing by itself"
        show.text(f"failed in stage {failure['stage']}: {failure['kind']}: {failure['message']} ({again})")
    if story["made"]:
        for entry in story["made"]["preference_set"]:
            path = " → ".join((entry["dimension"], entry["subdimension"], entry["preference"]))
            show.text(f"  {path}" if brief else f"  {path}: {entry['description']}")
        if brief or not story["turns"]:  # else they stand there, as they came
            show.text(f"[system] {story['made']['system']}")
            show.text(f"[output] {story['made']['output']}")
    spent = story["spent"]
    unpriced = f", {spent['unpriced']} replies of unknown price" if spent["unpriced"] else ""
    show.text(
        f"{spent['replies']} replies, {spent['prompt_tokens']:,} + {spent['completion_tokens']:,} tokens, "
        f"{spent['usd']:.6f} USD{unpriced}"
    )


def _describe_waiting(stage: str | None) -> str:
    if stage is None:
        return "not done yet"
    if not stage:
        return "not done yet: all of its replies are there, and `generate` makes it of them"
    return f"not done yet: waiting at stage {stage}"


def _show_verdict(story: dict[str, Any]) -> None:
    found, published = story["curation"], story["published"]
    if found:
        stale = f" (stale: {found['stale']})" if found["stale"] else ""
        show.text(f"curation: {found.get('verdict', 'not in the record')}{stale}")
        for finding in found.get("findings") or ():
            show.text(f"  {describe_finding(finding)}")
        for score in found.get("scores") or ():
            reason = f": {score['reason']}" if score["reason"] else ""
            show.text(f"  {score['judge']}: {score['dimension']} {score['score']} of 5{reason}")
    elif story["outcome"] == "ok":
        show.text("curation: the run was never curated")
    if found and found.get("verdict") == "drop":
        show.text("published: nowhere, `build` leaves it out")
    elif published:
        show.text(f"published: {', '.join(published['configs'])}")
        _show_pair(published)


def _show_pair(published: dict[str, Any]) -> None:
    pair = published["pair"]
    if pair:
        other = "rejected" if pair["as"] == "chosen" else "chosen"
        show.text(f"pair: {pair['as']} in dpo, orpo and rm ({pair['split']}); {other} is {pair['partner']}")
    elif published["no_pair"]:
        show.text(f"pair: none, {published['no_pair']}")
