"""With what each task is trained: the paper's hyper-parameters where it gives them, ours where it does not.

Paper: Lee et al., *Aligning to Thousands of Preferences via System Message Generalization*, NeurIPS 2024,
arXiv:2405.17977, and its training configurations.
"""

from dataclasses import dataclass
from typing import Literal

from multifaceted.exporting.tasks import Task

Setting = Literal[
    "base",
    "epochs",
    "learning_rate",
    "scheduler",
    "warmup_steps",
    "max_length",
    "packing",
    "batch",
    "strength",
]
BASE = "mistral-community/Mistral-7B-v0.2"  # what the paper trains; it has no chat template of its own
AFTER_SFT = "../sft/model"  # what the exported SFT configuration writes, in a folder beside this one


@dataclass(frozen=True, slots=True)
class Settings:
    """Hyper-parameters of one task."""

    base: str  # name or path of the model to start from
    epochs: int  # passes over the data
    learning_rate: float  # its peak
    batch: int  # sequences (SFT, packed) or pairs for each optimizer step, over all devices
    paper: frozenset[Setting]  # which of the settings the paper gives
    max_length: int = 8192  # tokens; longer rows are cut or left out, as the trainer does
    scheduler: str = "cosine"  # how the learning rate falls
    warmup_steps: int = 10  # over which it rises
    packing: bool = False  # whether short rows share a sequence
    strength: float | None = None  # DPO's beta, or ORPO's alpha; None for tasks without
    remark: str = ""  # what a reader should know of `base`

    def source(self, setting: Setting) -> str:
        """Whose setting it is."""
        return "paper" if setting in self.paper else "ours"


SETTINGS: dict[Task, Settings] = {
    "sft": Settings(
        base=BASE,
        epochs=4,
        learning_rate=5e-6,
        batch=32,
        packing=True,
        paper=frozenset(
            {"base", "epochs", "learning_rate", "scheduler", "warmup_steps", "max_length", "packing"}
        ),
        remark="it has no chat template; chat_template.jinja gives it the paper's prompt form",
    ),
    "dpo": Settings(
        base=AFTER_SFT,
        epochs=2,
        learning_rate=5e-7,
        batch=32,
        strength=0.1,
        paper=frozenset({"base", "epochs", "learning_rate"}),
        remark="the model of your SFT; the paper's had seen one variant of each instruction",
    ),
    "orpo": Settings(
        base=BASE,
        epochs=2,
        learning_rate=5e-6,
        batch=32,
        strength=0.1,
        paper=frozenset({"epochs", "learning_rate", "strength"}),
        remark="ORPO needs no SFT; chat_template.jinja gives the model the paper's prompt form",
    ),
    "rm": Settings(
        base=AFTER_SFT,
        epochs=1,
        learning_rate=9e-6,
        batch=128,
        paper=frozenset({"base", "learning_rate", "batch"}),
        remark="the model of your SFT; the paper's had one epoch, and more pairs came after these",
    ),
}
