"""What a recipe says of a model: where it is, how it samples, what it costs. A file for each kind of model.

Example:
    model = EndpointModel(base_url="http://127.0.0.1:8000/v1", name="some-model")
    model.label, model.find_price("live")
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Discriminator, Tag

from multifaceted.models.base import EndpointSpec
from multifaceted.models.endpoint import OF_ONE_ENDPOINT, EndpointModel
from multifaceted.models.local import LocalModel
from multifaceted.models.prices import Mode, Price, PriceSpec

Model: TypeAlias = EndpointModel | LocalModel
Models: TypeAlias = Mapping[str, Model]  # by the label of whoever asks, such as a stage

# Keys that only one kind of model has tell which is meant.
_TELLING = {"weights": "local", "base_url": "endpoint", "endpoints": "endpoint"}


def _find_kind(given: Any) -> str:
    """Return the kind that is said, or follows from the keys; empty where neither is."""
    if not isinstance(given, dict):
        return str(getattr(given, "kind", ""))
    return str(given.get("kind") or next((_TELLING[key] for key in _TELLING if key in given), ""))


def expand_model(given: Any) -> Any:
    """Write `local`, which is short for the embedded model, as a map."""
    return {"kind": "local"} if given == "local" else given


ModelSpec: TypeAlias = Annotated[
    Annotated[EndpointModel, Tag("endpoint")] | Annotated[LocalModel, Tag("local")],
    Discriminator(lambda given: _find_kind(given) or "endpoint"),
    BeforeValidator(expand_model),
]


def merge_model(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model is whose recipe says only how it differs from another one.

    A model of another kind takes nothing over. Another endpoint takes over neither the former one nor its key
    and limits, and another name takes over no prices.
    """
    kind = _find_kind(given)
    if kind and kind != (_find_kind(base) or "endpoint"):
        return dict(given)
    left = set[str]()
    if given.keys() & {"base_url", "endpoints"}:
        left |= {"base_url", "endpoints", *OF_ONE_ENDPOINT}
    if given.get("name") not in (None, base.get("name")):
        left.add("prices")
    return {**{key: value for key, value in base.items() if key not in left}, **given}


__all__ = [
    "EndpointModel",
    "EndpointSpec",
    "LocalModel",
    "Mode",
    "Model",
    "ModelSpec",
    "Models",
    "Price",
    "PriceSpec",
    "expand_model",
    "merge_model",
]
