"""Questions to chat models beside the rules, and judges that look at what a pair would reject."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from prose import answer_in_prose

import multifaceted as mf
from multifaceted.building.source import open_source
from multifaceted.curation.recipe import load_curation
from multifaceted.errors import InputError, InterruptedRunError, SetupError
from multifaceted.store.curation import CurationData, read_record
from multifaceted.testing import BatchFault, ChatServer, Fault

DIMENSIONS = ("style", "background_knowledge", "informativeness", "harmlessness")
BATCH: dict[str, Any] = {
    "mode": "batch",
    "batch": {"poll_seconds": 0.01, "results_polls": 2, "lost_results": "ask_again"},
}
Body = dict[str, Any]
Say = Callable[[Body, int], bool | None]


def is_question(body: Body) -> bool:
    return "You check rows" in body["messages"][0]["content"]


def read_number(body: Body) -> int:
    return next(n for n in range(6) if any(f"Question {n}:" in m["content"] for m in body["messages"]))


def answer_by(
    say: Say = lambda body, number: False, score: Callable[[Body, int], int] = lambda body, number: 4
) -> Callable[[Body], Fault | None]:
    """A model that writes rows, answers questions, and scores as told; None is a reply that says nothing."""
    write = answer_in_prose()

    def answer(body: Body) -> Fault | None:
        if is_question(body):
            said = say(body, read_number(body))
            return Fault(content="Who knows." if said is None else _reply("Yes" if said else "no"))
        if body["messages"][0]["content"].startswith("You judge"):
            given = {d: {"reason": "so", "score": score(body, read_number(body))} for d in DIMENSIONS}
            return Fault(content=json.dumps(given))
        return write(body)

    return answer


def _reply(word: str) -> str:
    return json.dumps({"reason": "so", "answer": word})


@pytest.fixture
def server() -> Any:
    with ChatServer(fault=answer_by(lambda body, number: number == 1)) as running:
        yield running


def write_recipe(server: ChatServer, folder: Path, *names: str, judge: Any = None, **question: Any) -> Path:
    shared = {"base_url": server.base_url, "temperature": 0, "retry_wait": 0.01}
    asked = {"name": "rude", "question": "Is the response rude?", **question}
    asked["models"] = [{"name": name, **shared} for name in names or ("model",)]
    recipe: dict[str, Any] = {"questions": [asked]}
    if judge is not None:
        recipe["judge"] = {"models": [{"name": "judge", **shared}], **judge}
    path = folder / "curate.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def curate(run: Path, recipe: Path, *, retry: bool = False) -> CurationData:
    return mf.curate(run, recipe, retry=retry, progress=False).data


def find_rows(run: Path, reason: str) -> dict[str, list[dict[str, Any]]]:
    rows = read_record(run / "curation").iter_rows(named=True)
    found = {row["id"]: [f for f in row["findings"] if f["reason"] == reason] for row in rows}
    return {row_id: findings for row_id, findings in found.items() if findings}


def test_rows_to_which_the_answer_is_yes_are_dropped(run: Path, server: ChatServer, tmp_path: Path) -> None:
    found = curate(run, write_recipe(server, tmp_path))
    assert set(find_rows(run, "rude")) == {"i1-v1", "i1-v2", "i1-v3"}
    assert found.reasons == {"rude": 3}
    assert (found.questions["rude"]["answered"], found.questions["rude"]["yes"]) == (18, 3)
    [body, *_] = server.bodies
    assert "Is the response rude?" in body["messages"][0]["content"]
    assert body["response_format"]["json_schema"]["schema"]["properties"]["answer"]["enum"] == ["yes", "no"]


def test_another_threshold_or_action_sends_no_request(run: Path, server: ChatServer, tmp_path: Path) -> None:
    server.fault = answer_by(lambda body, number: body["model"] == "one" and number == 2)
    before = curate(run, write_recipe(server, tmp_path, "one", "other"))
    assert before.reasons == {"rude": 3}
    [finding] = find_rows(run, "rude")["i2-v1"]
    assert (finding["score"], finding["detail"]) == (0.5, "1 of 2 say yes")
    asked = len(server.bodies)
    assert asked == 36
    after = curate(run, write_recipe(server, tmp_path, "one", "other", threshold=0.6))
    assert after.reasons == {}
    assert after.recipe != before.recipe
    assert curate(run, write_recipe(server, tmp_path, "one", "other", action="note")).notes == {"rude": 3}
    assert len(server.bodies) == asked


def test_a_row_that_a_question_drops_is_not_judged(run: Path, server: ChatServer, tmp_path: Path) -> None:
    found = curate(run, write_recipe(server, tmp_path, judge={}))
    judged = [body for body in server.bodies if not is_question(body)]
    assert len(judged) == found.judges["judged"] == 15
    assert not any(read_number(body) == 1 for body in judged)


def test_what_a_model_does_not_answer_is_noted_and_asked_again_on_request(
    run: Path, server: ChatServer, tmp_path: Path
) -> None:
    server.fault = answer_by(lambda body, number: None if number == 3 and body["model"] == "one" else False)
    recipe = write_recipe(server, tmp_path, "one", "other")
    assert curate(run, recipe).notes == {"unanswered": 3}
    assert find_rows(run, "unanswered")["i3-v1"][0]["detail"].startswith("rude: one: ")
    server.bodies.clear()
    assert curate(run, recipe).notes == {"unanswered": 3}
    assert server.bodies == []
    server.fault = answer_by()
    assert curate(run, recipe, retry=True).notes == {}
    assert [body["model"] for body in server.bodies] == ["one"] * 3


def test_questions_by_batch_say_what_they_say_live_and_judges_go_on_beside_them(
    run: Path, server: ChatServer, tmp_path: Path
) -> None:
    curate(run, write_recipe(server, tmp_path, judge={}))
    live = (run / "curation/record.parquet").read_bytes()
    for path in sorted((run / "curation").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    server.bodies.clear()
    server.paid.clear()
    batches: list[int] = []

    def interrupt(number: int, body: Body) -> BatchFault:
        batches.append(number)
        if len(batches) == 2:  # the first is of the question, the second of the judge
            os.kill(os.getpid(), signal.SIGINT)
        return BatchFault()

    server.batch_fault = interrupt
    recipe = write_recipe(server, tmp_path, judge=BATCH, **BATCH)
    with pytest.raises(InterruptedRunError, match="what they said is kept"):
        curate(run, recipe)
    curate(run, recipe)
    assert (run / "curation/record.parquet").read_bytes() == live
    assert (server.batch_lines, server.repeats, server.bodies) == (18 + 15, 0, [])


def test_a_response_that_serves_the_other_reader_too_is_not_rejected(
    run: Path, server: ChatServer, tmp_path: Path
) -> None:
    outputs = {row["id"]: row["output"] for row in mf.iter_rows(run)}

    # Of question 2 every response serves every reader; of question 4 the second variant's response does.
    def score(body: Body, number: int) -> int:
        serves_all = number == 2 or (number == 4 and outputs["i4-v2"] in body["messages"][1]["content"])
        return 5 if serves_all else 3

    server.fault = answer_by(score=score)
    recipe = write_recipe(server, tmp_path, judge={"pairs": {"margin": 0}})
    found = curate(run, recipe)
    fitting = find_rows(run, "rejected_fits")
    assert {row: [f["partner"] for f in found] for row, found in fitting.items()} == {
        "i2-v1": ["i2-v2", "i2-v3"],
        "i2-v2": ["i2-v1", "i2-v3"],
        "i2-v3": ["i2-v1", "i2-v2"],
        "i4-v1": ["i4-v2"],
        "i4-v3": ["i4-v2"],
    }
    assert found.notes["rejected_fits"] == 5
    assert (found.judges["siblings"], found.judges["fitting"]) == (36, 8)
    built = mf.build(run, tmp_path / "built")
    assert built.manifest.left_out == {"rejected_fits": ["i2"]}
    assert mf.check(tmp_path / "built").faults == []
    pairs = open_source(run).choice.rejected
    assert pairs == open_source(tmp_path / "built").choice.rejected
    assert {chosen[:2] for chosen in pairs} == {"i0", "i1", "i3", "i4", "i5"}
    assert not any(rejected == "i4-v2" for rejected in pairs.values())
    asked = len(server.bodies)
    curate(run, write_recipe(server, tmp_path, judge={"pairs": {"margin": 0, "fits": 5}}))
    assert len(server.bodies) == asked
    assert server.repeats == 0


def test_why_tells_what_was_asked_of_a_row(run: Path, server: ChatServer, tmp_path: Path) -> None:
    curate(run, write_recipe(server, tmp_path, action="note"))
    story = mf.open_run(run).why("i1-v1")
    asked = [turn for turn in story.turns if turn["stage"].startswith("question")]
    assert [turn["stage"] for turn in asked] == ["question rude model"]
    assert "Yes" in str(asked[0]["replies"])


def test_problems_of_questions_and_classifiers_are_told_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "curate.yaml"
    path.write_text(
        "questions:\n"
        "  - {name: refusal, question: No?, models: [local]}\n"
        "classifiers:\n"
        "  - {name: toxic, model: some/model, labels: [toxic]}\n"
        "  - {name: toxic, model: other/model, labels: [toxic]}\n"
    )
    with pytest.raises(InputError) as caught:
        load_curation(path)
    assert sorted(problem.line for problem in caught.value.problems) == [2, 4, 5]
    path.write_text("classifiers:\n  - {name: Toxic Texts, model: some/model, labels: [], treshold: 2}\n")
    with pytest.raises(InputError, match="did you mean 'threshold'"):
        load_curation(path)


def test_a_classifier_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(SetupError, match="transformers, which is not installed") as caught:
        mf.find([{"prompt": "a", "output": "b"}], [mf.classifier("toxic", "some/model", ["toxic"])])
    assert "[classifier]" in str(caught.value.hint)
