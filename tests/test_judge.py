"""Judges: scores by preference, threshold, agreement, and that no reply is paid for twice."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from prose import answer_in_prose
from typer.testing import CliRunner

import multifaceted as mf
from multifaceted.cli import app
from multifaceted.curation.agreement import share_equal, weigh_kappa
from multifaceted.curation.judge_prompt import JudgePrompt
from multifaceted.curation.recipe import load_curation
from multifaceted.curation.run import curate_run
from multifaceted.errors import (
    FatalEndpointError,
    InputError,
    InterruptedRunError,
    LimitReachedError,
    LockedError,
)
from multifaceted.prompts.reply import ReplyError
from multifaceted.store.curation import CurationData, lock_curation, read_record
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import read_status
from multifaceted.testing import BatchFault, ChatServer, Fault, make_reply
from multifaceted.why.story import tell_story

DIMENSIONS = ("style", "background_knowledge", "informativeness", "harmlessness")
SAME = "Both of them, always, and for the same reason: the harbor was built for the ferry."
Scorer = Callable[[dict[str, Any]], str | None]


def judge_by(score: Callable[[dict[str, Any], str], int]) -> Callable[[dict[str, Any]], Fault | None]:
    """A model that writes rows, and scores them as told: by request body and dimension."""
    write = answer_in_prose(same={"Question 5": SAME})

    def answer(body: dict[str, Any]) -> Fault | None:
        if not body["messages"][0]["content"].startswith("You judge"):
            return write(body)
        return Fault(content=json.dumps({d: {"reason": "so", "score": score(body, d)} for d in DIMENSIONS}))

    return answer


def is_about(body: dict[str, Any], question: int) -> bool:
    return any(f"Question {question}:" in message["content"] for message in body["messages"])


@pytest.fixture
def server() -> Any:
    with ChatServer(
        fault=judge_by(lambda body, d: 2 if is_about(body, 1) and d == "style" else 4)
    ) as running:
        yield running


def write_judges(
    server: ChatServer, folder: Path, *names: str, model: dict[str, Any] | None = None, **judge: Any
) -> Path:
    path = folder / "curate.yaml"
    shared = {"base_url": server.base_url, "temperature": 0, "retry_wait": 0.01, **(model or {})}
    models = [{"name": name, **shared} for name in names or ("judge",)]
    path.write_text(yaml.safe_dump({"judge": {"models": models, **judge}}), encoding="utf-8")
    return path


def curate(run: Path, recipe: Path) -> CurationData:
    return mf.curate(run, recipe, progress=False).data


def verdicts(run: Path) -> dict[str, tuple[str, list[str]]]:
    return {
        r["id"]: (r["verdict"], r["reasons"]) for r in read_record(run / "curation").iter_rows(named=True)
    }


def test_a_preference_below_the_threshold_drops_the_row(
    run: Path, server: ChatServer, tmp_path: Path
) -> None:
    found = curate(run, write_judges(server, tmp_path))
    low = {row_id for row_id, (_, reasons) in verdicts(run).items() if reasons == ["low_score"]}
    assert low == {"i1-v1", "i1-v2", "i1-v3"}
    assert found.reasons == {"alike_responses": 2, "low_score": 3}
    assert found.kept + found.dropped == 18
    row = next(r for r in read_record(run / "curation").iter_rows(named=True) if r["id"] == "i1-v1")
    assert {s["dimension"]: s["score"] for s in row["scores"]} == {**dict.fromkeys(DIMENSIONS, 4), "style": 2}
    assert (row["findings"][0]["score"], row["findings"][0]["detail"]) == (2.0, "style 2")
    assert found.judges["judged"] == 16
    assert found.judges["means"]["judge"]["informativeness"] == 4


def test_only_rows_that_filters_leave_are_judged(run: Path, server: ChatServer, tmp_path: Path) -> None:
    curate(run, write_judges(server, tmp_path))
    assert len(server.bodies) == 16  # of 18 rows, two are dropped as alike
    assert server.repeats == 0


def test_another_threshold_sends_no_request(run: Path, server: ChatServer, tmp_path: Path) -> None:
    before = curate(run, write_judges(server, tmp_path))
    asked = len(server.bodies)
    after = curate(run, write_judges(server, tmp_path, threshold=1.5))
    assert len(server.bodies) == asked
    assert "low_score" not in after.reasons
    assert after.recipe != before.recipe
    noted = curate(run, write_judges(server, tmp_path, action="note"))
    assert len(server.bodies) == asked
    assert (noted.dropped, noted.notes) == (2, {"low_score": 3})


def test_a_filter_that_lets_more_rows_pass_asks_for_those_alone(
    run: Path, server: ChatServer, tmp_path: Path
) -> None:
    recipe = write_judges(server, tmp_path)
    curate(run, recipe)
    asked = len(server.bodies)
    data = yaml.safe_load(recipe.read_text())
    recipe.write_text(yaml.safe_dump({**data, "filters": {"alike_responses": False}}))
    curate(run, recipe)
    assert len(server.bodies) == asked + 2


def test_the_judge_sees_the_preferences_and_not_the_system_message(
    run: Path, server: ChatServer, tmp_path: Path
) -> None:
    curate(run, write_judges(server, tmp_path))
    rows = {row["id"]: row for row in _rows(run)}
    body = next(b for b in server.bodies if is_about(b, 0))
    text = body["messages"][1]["content"]
    row = next(row for row in rows.values() if row["output"] in text)
    assert all(entry["description"] in text for entry in row["preference_set"])
    assert row["system"] not in text
    schema = body["response_format"]["json_schema"]["schema"]
    assert tuple(schema["properties"]) == DIMENSIONS
    assert schema["properties"]["style"]["properties"]["score"]["enum"] == [1, 2, 3, 4, 5]


def _rows(run: Path) -> list[dict[str, Any]]:
    from multifaceted.store.shards import read_batches

    return [
        r for f in sorted(run.glob("shards/*/rows.arrow")) for b in read_batches(f) for r in b.to_pylist()
    ]


def test_two_judges_and_their_agreement(run: Path, server: ChatServer, tmp_path: Path) -> None:
    def score(body: dict[str, Any], dimension: str) -> int:
        if dimension == "style" and is_about(body, 1):
            return 1 if body["model"] == "strict" else 4
        return 4 if dimension == "style" else 5

    server.fault = judge_by(score)
    found = curate(run, write_judges(server, tmp_path, "strict", "mild", threshold=3))
    assert found.reasons["low_score"] == 3  # (1 + 4) / 2
    [pair] = found.judges["agreement"]
    assert pair["judges"] == ["strict", "mild"]
    assert pair["scores"] == 64
    assert pair["equal"] == pytest.approx(61 / 64, abs=1e-4)
    assert 0 < pair["kappa"] < 1
    said = CliRunner().invoke(app, ["curate", str(run), "--recipe", str(tmp_path / "curate.yaml")]).stdout
    assert f"weighted kappa {pair['kappa']:.2f}, equal scores 95%" in said


def test_a_model_that_judges_twice_is_asked_twice(run: Path, server: ChatServer, tmp_path: Path) -> None:
    found = curate(run, write_judges(server, tmp_path, "judge", "judge"))
    assert list(found.judges["means"]) == ["judge #1", "judge #2"]
    assert len(server.bodies) == 32
    assert server.repeats == 0


def test_a_reply_that_does_not_validate_is_repaired_once_and_else_noted(
    run: Path, server: ChatServer, tmp_path: Path
) -> None:
    good = judge_by(lambda body, d: 4)

    def fault(body: dict[str, Any]) -> Fault | None:
        if is_about(body, 0) and len(body["messages"]) == 2:
            return Fault(content='{"style": {"score": 9}}')
        return Fault(content="I like it.") if is_about(body, 2) else good(body)

    server.fault = fault
    found = curate(run, write_judges(server, tmp_path))
    assert found.notes == {"unjudged": 3}
    record = {row["id"]: row for row in read_record(run / "curation").iter_rows(named=True)}
    assert record["i0-v1"]["scores"]
    assert record["i2-v1"]["verdict"] == "keep"
    assert record["i2-v1"]["findings"][0]["reason"] == "unjudged"
    assert "no JSON object" in record["i2-v1"]["findings"][0]["detail"]
    repair = next(b for b in server.bodies if is_about(b, 0) and len(b["messages"]) == 4)
    assert "background_knowledge" in repair["messages"][-1]["content"]


def test_the_budget_stops_it_and_a_higher_one_goes_on(run: Path, server: ChatServer, tmp_path: Path) -> None:
    prices = {"prices": {"input": 100, "output": 100}}
    with pytest.raises(LimitReachedError, match="budget"):
        curate(run, write_judges(server, tmp_path, model=prices, budget={"max_usd": 0.1}, concurrency=1))
    asked = len(server.bodies)
    assert 0 < asked < 16
    assert not (run / "curation" / "record.parquet").exists()
    curate(run, write_judges(server, tmp_path, model=prices, budget={"max_usd": 100}))
    assert len(server.bodies) == 16
    assert server.repeats == 0


def test_a_budget_without_a_price_is_refused(run: Path, server: ChatServer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="price of the model of judge judge is unknown"):
        curate(run, write_judges(server, tmp_path, budget={"max_usd": 1}))
    assert server.bodies == []


def test_ctrl_c_keeps_what_came_in(run: Path, server: ChatServer, tmp_path: Path) -> None:
    good = judge_by(lambda body, d: 4)

    def fault(body: dict[str, Any]) -> Fault | None:
        if len(server.bodies) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return good(body)

    server.fault = fault
    with pytest.raises(InterruptedRunError, match="what they said is kept"):
        curate(run, write_judges(server, tmp_path, concurrency=1))
    assert len(server.bodies) < 16
    curate(run, write_judges(server, tmp_path))
    assert len(server.bodies) == 16
    assert server.repeats == 0


def test_an_endpoint_that_refuses_everything_stops_it(run: Path, server: ChatServer, tmp_path: Path) -> None:
    server.api_key = "another"
    with pytest.raises(FatalEndpointError):
        curate(run, write_judges(server, tmp_path))


def test_errors_that_pass_are_asked_again(run: Path, server: ChatServer, tmp_path: Path) -> None:
    good, failed = judge_by(lambda body, d: 4), list[int]()

    def fault(body: dict[str, Any]) -> Fault | None:
        if len(failed) < 3:
            failed.append(1)
            return Fault(status=500)
        return good(body)

    server.fault = fault
    assert curate(run, write_judges(server, tmp_path)).judges["judged"] == 16


def test_two_processes_do_not_share_a_journal(run: Path, server: ChatServer, tmp_path: Path) -> None:
    with lock_curation(run / "curation"), pytest.raises(LockedError):
        curate(run, write_judges(server, tmp_path))


def test_problems_of_the_judge_are_told_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "curate.yaml"
    path.write_text("judge:\n  models: []\n  treshold: 9\n")
    with pytest.raises(InputError) as caught:
        load_curation(path)
    assert [problem.line for problem in caught.value.problems] == [2, 3]
    assert "did you mean 'threshold'" in caught.value.message


def test_a_template_of_ones_own_is_checked_before_anything_is_asked(
    tmp_path: Path, server: ChatServer
) -> None:
    (tmp_path / "j.j2").write_text("{% block user %}{{ respons }}{% endblock %}")
    with pytest.raises(InputError, match="unknown variable 'respons'; did you mean 'response'"):
        load_curation(write_judges(server, tmp_path, template="j.j2"))
    (tmp_path / "j.j2").write_text("{% block user %}You judge {{ response }}{% endblock %}")
    own = load_curation(write_judges(server, tmp_path, template="j.j2"))
    assert own.fingerprint != load_curation(write_judges(server, tmp_path)).fingerprint


def test_a_reply_is_read_with_all_its_faults() -> None:
    prompt = JudgePrompt.load()
    row = {"preference_set": [{"dimension": "style"}, {"dimension": "depth"}]}
    assert prompt.parse(
        row, 'So: {"style": {"score": 4}, "depth": {"reason": "", "score": "2"}, "x": {}}'
    ) == {
        "style": 4,
        "depth": 2,
    }
    with pytest.raises(ReplyError) as caught:
        prompt.parse(row, '{"style": {"score": 0}}')
    assert len(caught.value.problems) == 2


def test_kappa_is_that_of_the_books() -> None:
    two = [(1, 1)] * 20 + [(1, 2)] * 5 + [(2, 1)] * 10 + [(2, 2)] * 15
    assert weigh_kappa(two) == pytest.approx(0.4)  # with two scores the weights change nothing
    assert weigh_kappa([(1, 1), (3, 3), (5, 5)]) == 1
    assert weigh_kappa([(1, 5), (5, 1)]) == -1
    assert weigh_kappa([(4, 4), (4, 4)]) is None
    assert weigh_kappa([]) is None
    assert share_equal([(1, 1), (1, 2)]) == 0.5


BATCH: dict[str, Any] = {
    "mode": "batch",
    "batch": {"poll_seconds": 0.01, "results_polls": 2, "lost_results": "ask_again"},
}
# How batches misbehave; lines are named by their position in the file.
MISBEHAVIORS = [
    BatchFault(),
    BatchFault(expired_after=3),
    BatchFault(cancelled_after=2),
    BatchFault(missing=(1, 4), duplicated=(2,), garbled=(0,), renamed=(3,)),
    BatchFault(line_status=500),
    BatchFault(create_errors=2, create_anyway=True, poll_errors=2),
    BatchFault(failed_with="token_limit_exceeded"),
]


def curated(run: Path) -> tuple[CurationData, bytes]:
    folder = run / "curation"
    return CurationData.model_validate(json.loads((folder / "curation.json").read_text())["data"]), (
        folder / "record.parquet"
    ).read_bytes()


@pytest.mark.parametrize("fault", MISBEHAVIORS, ids=str)
def test_judges_by_batch_give_the_scores_that_they_give_live(
    run: Path, server: ChatServer, tmp_path: Path, fault: BatchFault
) -> None:
    curate(run, write_judges(server, tmp_path, "strict", "mild"))
    live = curated(run)
    shutil.rmtree(run / "curation")
    server.bodies.clear()
    server.batch_fault = lambda number, body: fault if number == 0 else None
    curate(run, write_judges(server, tmp_path, "strict", "mild", **BATCH))
    assert curated(run) == live
    assert server.batch_lines >= 32
    assert server.bodies == []
    [spent, _] = [
        part for part in read_status(RunFolder(run)).spent if str(part["stage"]).startswith("judge")
    ]
    assert (spent["mode"], spent["model"]) == ("batch", "mild")


def test_judges_by_batch_that_are_interrupted_go_on_and_ask_nothing_twice(
    run: Path, server: ChatServer, tmp_path: Path
) -> None:
    def interrupt(number: int, body: dict[str, Any]) -> BatchFault:
        if number == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return BatchFault()

    server.batch_fault = interrupt
    recipe = write_judges(server, tmp_path, **BATCH)
    with pytest.raises(InterruptedRunError, match="what they said is kept"):
        curate(run, recipe)
    assert not (run / "curation" / "record.parquet").exists()
    assert curate(run, recipe).judges["judged"] == 16
    assert (server.batch_lines, server.repeats) == (16, 0)
    curate(run, write_judges(server, tmp_path))  # live now: nothing is left to ask
    assert server.bodies == []


def test_batches_need_judges_behind_one_endpoint(server: ChatServer, tmp_path: Path) -> None:
    path = tmp_path / "curate.yaml"
    path.write_text(yaml.safe_dump({"judge": {"models": [{"kind": "local"}], "mode": "batch"}}))
    with pytest.raises(InputError, match="behind one endpoint each"):
        load_curation(path)


def test_the_weights_of_a_judge_are_read_from_the_folder_of_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "curate.yaml"
    path.write_text(yaml.safe_dump({"judge": {"models": [{"weights": "builtin-mine.gguf"}, "local"]}}))
    judge = load_curation(path).judge
    assert judge is not None
    expected = [f"local ({tmp_path / 'folder' / 'builtin-mine.gguf'})", "local (builtin)"]
    assert judge.spec.labels == expected


def test_a_retry_asks_the_judges_that_gave_no_score_and_no_other(
    run: Path, server: ChatServer, tmp_path: Path
) -> None:
    good = judge_by(lambda body, d: 4)

    def fault(body: dict[str, Any]) -> Fault | None:
        return Fault(content="I like it.") if is_about(body, 2) and body["model"] == "strict" else good(body)

    server.fault = fault
    recipe = write_judges(server, tmp_path, "strict", "mild")
    assert curate(run, recipe).notes == {"unjudged": 3}
    server.fault = good
    server.bodies.clear()
    assert curate(run, recipe).notes == {"unjudged": 3}
    assert server.bodies == []
    command = ["curate", str(run), "--recipe", str(recipe), "--retry"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert {body["model"] for body in server.bodies} == {"strict"}
    assert len(server.bodies) == 3
    assert all(
        row["findings"] == []
        for row in read_record(run / "curation").iter_rows(named=True)
        if row["verdict"] == "keep"
    )


def test_status_and_why_tell_of_judges(run: Path, server: ChatServer, tmp_path: Path) -> None:
    before = read_status(RunFolder(run))
    curate(run, write_judges(server, tmp_path, "strict", "mild"))
    after = read_status(RunFolder(run))
    judges = [part for part in after.spent if str(part["stage"]).startswith("judge")]
    assert [(part["stage"], part["replies"]) for part in judges] == [("judge mild", 16), ("judge strict", 16)]
    assert after.requests["total"] == before.requests["total"] + 32
    story = tell_story(run, "i1-v1")
    asked = [turn for turn in story.turns if turn["stage"].startswith("judge")]
    assert [turn["stage"] for turn in asked] == ["judge strict", "judge mild"]
    assert asked[0]["messages"][0]["content"].startswith("You judge")
    assert '"style"' in asked[0]["replies"][0]["text"]
    assert story.curation is not None
    said = {(s["judge"], s["dimension"]): (s["score"], s["reason"]) for s in story.curation["scores"]}
    assert said["strict", "style"] == (2, "so")
    assert said["mild", "harmlessness"] == (4, "so")
    assert story.spent["replies"] == 5
    assert story.remarks == []


def test_the_test_server_judges_as_it_is(run: Path, server: ChatServer, tmp_path: Path) -> None:
    """So that a recipe with judges can be tried before money is spent."""
    server.fault = None
    data = curate(run, write_judges(server, tmp_path, "strict", "mild"))
    assert (data.judges["judged"], data.judges["unjudged"], len(server.bodies)) == (16, 0, 32)
    rows = read_record(run / "curation").iter_rows(named=True)
    assert {score["score"] for row in rows for score in row["scores"]} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("bounds", "lowest", "highest"),
    [
        ({}, 0, 9),
        ({"minimum": 1, "maximum": 5}, 1, 5),
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 3}, 1, 2),
        ({"minimum": 7}, 7, 16),
        ({"maximum": -3}, -12, -3),
        ({"enum": [2, 4]}, 2, 4),
        ({"minimum": 10, "maximum": 30, "multipleOf": 10}, 10, 30),
        ({"minimum": 0.5, "maximum": 1.5}, 1, 1),
    ],
)
def test_the_test_server_answers_integers_within_their_bounds(
    bounds: dict[str, Any], lowest: int, highest: int
) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", **bounds}}}
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    found = {
        json.loads(make_reply({"messages": [], "seed": seed, "response_format": form}))["n"]
        for seed in range(200)
    }
    assert all(type(number) is int for number in found)
    assert (min(found), max(found)) == (lowest, highest)
    assert all(number % bounds.get("multipleOf", 1) == 0 for number in found)


def test_a_retry_that_was_interrupted_goes_on_and_pays_nothing_twice(
    run: Path, server: ChatServer, tmp_path: Path
) -> None:
    good = judge_by(lambda body, d: 4)
    server.fault = lambda body: Fault(content="I like it.") if is_about(body, 2) else good(body)
    recipe = write_judges(server, tmp_path, concurrency=1)
    assert curate(run, recipe).notes == {"unjudged": 3}
    server.bodies.clear()

    def interrupt(body: dict[str, Any]) -> Fault | None:
        if len(server.bodies) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return good(body)

    server.fault = interrupt
    with pytest.raises(InterruptedRunError):
        mf.curate(run, recipe, retry=True, progress=False)
    server.fault = good
    assert mf.curate(run, recipe, retry=True, progress=False).data.notes == {}
    assert len(server.bodies) == 3
    assert not (run / "curation" / "retry.json").exists()


def test_a_retry_without_judges_is_refused(run: Path) -> None:
    with pytest.raises(InputError, match="names no model"):
        curate_run(run, load_curation(), retry=True)
