"""Text-classification models as filters: a tiny one that has learnt one word, in frames and in a run."""

from pathlib import Path
from typing import Any

import pytest

transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed here: `make test-trainers` runs these"
)

import torch  # noqa: E402
from tiny import make_run  # noqa: E402

import multifaceted as mf  # noqa: E402
from multifaceted.errors import InputError, SetupError  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # those of the libraries
WORDS = ("tide", "harbor", "ferry", "water", "stone", "bridge", "light", "idiot")
FINE = "tide harbor ferry water stone bridge light tide harbor water"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A BERT of one layer that was trained to tell whether a text has one word."""
    folder = tmp_path_factory.mktemp("classifier")
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    (folder / "vocab.txt").write_text("\n".join((*special, *WORDS)), encoding="utf-8")
    tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=128)
    torch.manual_seed(0)
    shape = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=128,
        hidden_dropout_prob=0, attention_probs_dropout_prob=0,
        id2label={0: "fine", 1: "toxic"}, label2id={"fine": 0, "toxic": 1},
    )  # fmt: skip
    tiny = transformers.BertForSequenceClassification(shape)
    texts, labels = _make_texts()
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    steps = torch.optim.AdamW(tiny.parameters(), lr=5e-3)
    for _ in range(80):
        steps.zero_grad()
        tiny(**batch, labels=torch.tensor(labels)).loss.backward()
        steps.step()
    tiny.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def _make_texts() -> tuple[list[str], list[int]]:
    words = FINE.split()
    texts = [" ".join((words * 5)[k : k + 1 + k]) for k in range(28)]
    toxic = [f"{text} idiot" if k % 2 else f"idiot {text}" for k, text in enumerate(texts)]
    return texts + toxic, [0] * len(texts) + [1] * len(toxic)


def make_rows(*outputs: str) -> list[dict[str, Any]]:
    return [{"prompt": "Write about the harbor.", "output": output} for output in outputs]


def test_it_finds_what_its_model_says_wherever_it_stands(model: str) -> None:
    rows = make_rows(FINE, f"idiot {FINE}", "", " ".join([FINE] * 40) + " idiot", " ".join([FINE] * 40))
    found = mf.find(rows, [mf.classifier("toxic", model, ["toxic"], piece=300)])
    assert found["position"].to_list() == [1, 3]
    assert set(found["reason"]) == {"toxic"}
    assert all(score >= 0.5 for score in found["score"])
    assert found["detail"][0].startswith("toxic ")


def test_labels_thresholds_and_columns_are_ones_own(model: str) -> None:
    rows = [{"prompt": f"idiot {FINE}", "output": FINE}]
    by_prompt = mf.classifier("rude", model, ["toxic"], column="prompt", action="note")
    by_output = mf.classifier("pleasant", model, ["fine", "toxic"], threshold=0.4)
    found = mf.find(rows, [by_prompt, by_output])
    assert found.select("reason", "action").rows() == [("rude", "note"), ("pleasant", "drop")]


def test_a_label_that_the_model_does_not_have_is_told_with_those_it_has(model: str) -> None:
    with pytest.raises(InputError, match=r"no label 'toxid'; did you mean 'toxic'.*fine, toxic"):
        mf.find(make_rows(FINE), [mf.classifier("toxic", model, ["toxid"])])


def test_a_model_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SetupError, match="empty cannot be loaded"):
        mf.find(make_rows(FINE), [mf.classifier("toxic", str(tmp_path / "empty"), ["toxic"])])


def test_a_recipe_takes_one_from_a_folder_beside_it(model: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "made")
    (tmp_path / "weights").symlink_to(model)
    recipe = tmp_path / "curate.yaml"
    recipe.write_text(
        "classifiers: [{name: pleasant, model: weights, labels: [fine, toxic], threshold: 0.4}]"
    )
    found = mf.curate(run, recipe, progress=False)
    assert found.reasons["pleasant"] == 48
    assert found.data.filters["pleasant"]["threshold"] == 0.4
