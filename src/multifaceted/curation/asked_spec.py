"""What parts of a curation recipe share that ask models: who is asked, how, and what a finding does."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from multifaceted.models import Model, ModelSpec
from multifaceted.models.sending import SendingSpec

JUDGE = "judge"  # the role of judges


def name_asker(role: str, model: str) -> str:
    """Return the label under which a model asks in a role."""
    return f"{role} {model}"


class AskedSpec(SendingSpec):
    """Models that are each asked about every row that filters leave."""

    models: tuple[ModelSpec, ...] = Field(min_length=1, max_length=5)
    action: Literal["drop", "note"] = "drop"
    template: Path | None = None  # in place of the shipped one
    concurrency: int = Field(default=16, ge=1, le=4096)  # requests in flight at each endpoint

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        self.check_mode(self.models)
        return self

    @property
    def role(self) -> str:
        """Return what they are asked as; the beginning of the label under which they ask."""
        return JUDGE

    @property
    def place(self) -> str:
        """Return the folder of its batches, below that of the curation."""
        return "."

    @property
    def asked(self) -> dict[str, Model]:
        """Return each model by its name here."""
        return dict(zip(self.labels, self.models, strict=True))

    @property
    def labels(self) -> list[str]:
        """Return a name for each model; one that is asked twice gets a number."""
        names = [model.label for model in self.models]
        return [
            name if names.count(name) == 1 else f"{name} #{names[: i + 1].count(name)}"
            for i, name in enumerate(names)
        ]

    @property
    def described(self) -> dict[str, Any]:
        """Return what verdicts depend on."""
        models = [{"model": label, **model.counted} for label, model in self.asked.items()]
        return {"models": models, "action": self.action}

    def name_asker(self, model: str) -> str:
        """Return the label under which a model asks."""
        return name_asker(self.role, model)

    def rebase(self, base: Path) -> Self:
        """Its paths are written from the recipe's folder; make them good from the present one."""
        models = tuple(model.rebase(base) for model in self.models)
        template = base / self.template if self.template else None
        return self.model_copy(update={"models": models, "template": template})
