"""The curation recipe: which filters look at the rows, with which parameters, and who judges them.

    recipe = load_curation(Path("curate.yaml"))
    recipe.active                 # the filters, in the order of their reasons

A filter that is not named runs with its defaults; `refusal: false` switches one off.
"""

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from multifaceted.curation.alike import AlikePreferencesFilter, AlikeResponsesFilter
from multifaceted.curation.base import Filter, RowFilter, RunFilter, VariantFilter
from multifaceted.curation.boilerplate import BoilerplateFilter
from multifaceted.curation.classifier import ClassifierSpec
from multifaceted.curation.degenerate import DegenerateFilter
from multifaceted.curation.injections import InjectionFilter
from multifaceted.curation.judge_prompt import JudgePrompt
from multifaceted.curation.judge_spec import JudgeSpec
from multifaceted.curation.leaks import LeakFilter
from multifaceted.curation.near_rows import DuplicateIdFilter, NearSystemFilter
from multifaceted.curation.other_language import LanguageFilter
from multifaceted.curation.personal import PersonalDataFilter, SecretFilter
from multifaceted.curation.questions import QuestionPrompt, QuestionSpec
from multifaceted.curation.quotes import QuotedFilter
from multifaceted.curation.refusals import RefusalFilter
from multifaceted.curation.repetition import RepetitionFilter
from multifaceted.curation.system_messages import LengthFilter, ListedFilter, PersonFilter, ShapeFilter
from multifaceted.curation.truncation import FenceFilter, TruncatedFilter
from multifaceted.errors import InputError, Problem
from multifaceted.ids import content_id
from multifaceted.strictmodel import StrictModel
from multifaceted.yamlfile import YamlDocument, read_yaml

FilterT = TypeVar("FilterT", bound=Filter)


def _switch(value: Any) -> Any:
    """`false` and an empty value are not maps: the one switches off, the other changes nothing."""
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


Switch = Annotated[FilterT | None, BeforeValidator(_switch)]


class FilterTable(StrictModel):
    """The filters that ship with the package. The order is that in which reasons are listed."""

    duplicate_id: Switch[DuplicateIdFilter] = DuplicateIdFilter()
    refusal: Switch[RefusalFilter] = RefusalFilter()
    boilerplate: Switch[BoilerplateFilter] = BoilerplateFilter()
    truncated: Switch[TruncatedFilter] = TruncatedFilter()
    unbalanced_fence: Switch[FenceFilter] = FenceFilter()
    repetition: Switch[RepetitionFilter] = RepetitionFilter()
    degenerate: Switch[DegenerateFilter] = DegenerateFilter()
    leaked_text: Switch[LeakFilter] = LeakFilter()
    injected_prompt: Switch[InjectionFilter] = InjectionFilter()
    listed_preferences: Switch[ListedFilter] = ListedFilter()
    quoted_preferences: Switch[QuotedFilter] = QuotedFilter()
    system_person: Switch[PersonFilter] = PersonFilter()
    system_shape: Switch[ShapeFilter] = ShapeFilter()
    system_length: Switch[LengthFilter] = LengthFilter()
    other_language: Switch[LanguageFilter] = LanguageFilter()
    personal_data: Switch[PersonalDataFilter] = PersonalDataFilter()
    secret: Switch[SecretFilter] = SecretFilter()
    alike_preferences: Switch[AlikePreferencesFilter] = AlikePreferencesFilter()
    alike_responses: Switch[AlikeResponsesFilter] = AlikeResponsesFilter()
    near_duplicate_system: Switch[NearSystemFilter] = NearSystemFilter()


class OwnFilter(StrictModel):
    """A filter of one's own: `{use: mypackage.filters:TooPolite, parameters: {times: 5}}`."""

    use: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    parameters: dict[str, Any] = Field(default_factory=dict)


class CurationRecipe(StrictModel):
    """What `curate` goes by."""

    filters: FilterTable = FilterTable()
    own: tuple[OwnFilter, ...] = ()
    classifiers: tuple[ClassifierSpec, ...] = ()
    questions: tuple[QuestionSpec, ...] = ()
    judge: JudgeSpec | None = None


class Question(NamedTuple):
    """A question, and the prompt that asks it."""

    spec: QuestionSpec
    prompt: QuestionPrompt


class Judge(NamedTuple):
    """The judges, and the prompt that they get."""

    spec: JudgeSpec
    prompt: JudgePrompt


class Curation(StrictModel):
    """A loaded curation recipe, its own filters imported."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    recipe: CurationRecipe
    active: tuple[Filter, ...]
    questions: tuple[Question, ...] = ()
    judge: Judge | None = None
    file: str = ""  # empty: the default recipe

    @property
    def fingerprint(self) -> str:
        """Return what verdicts depend on, besides the rows."""
        judge = [self.judge.spec.described, self.judge.prompt.hash] if self.judge else []
        questions = [[spec.name, spec.described, prompt.hash] for spec, prompt in self.questions]
        return content_id(["curation", self.described, judge, *questions])

    @property
    def asks(self) -> bool:
        """Return whether any model behind an endpoint is asked about rows."""
        return bool(self.questions or self.judge)

    @property
    def described(self) -> dict[str, dict[str, Any]]:
        """Return each filter's parameters, by name."""
        return {filter_.name: filter_.model_dump(mode="json") for filter_ in self.active}


def load_curation(path: Path | None = None) -> Curation:
    """Load a curation recipe; without a path, the default one with every filter.

    Raises:
        InputError: with every problem and its line.
    """
    if path is None:
        recipe = CurationRecipe()
        return Curation(recipe=recipe, active=_list_shipped(recipe))
    document = read_yaml(path)
    recipe = document.validate(CurationRecipe)
    problems: list[Problem] = []
    own = [
        found
        for index, spec in enumerate(recipe.own)
        if (found := _open_own(spec, index, document, path.parent, problems)) is not None
    ]
    classifiers = [spec.open(path.parent) for spec in recipe.classifiers]
    active = (*_list_shipped(recipe), *own, *classifiers)
    names = [filter_.name for filter_ in active] + [spec.name for spec in recipe.questions]
    named = {
        ("own", "use"): [filter_.name for filter_ in own],
        ("classifiers", "name"): [spec.name for spec in recipe.classifiers],
        ("questions", "name"): [spec.name for spec in recipe.questions],
    }
    problems += [
        document.problem((part, index, key), f"another filter has the name {name!r} too")
        for (part, key), given in named.items()
        for index, name in enumerate(given)
        if names.count(name) > 1
    ]
    asked = Asking()
    try:
        asked = _open_asking(recipe, path.parent)
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    return Curation(
        recipe=recipe,
        active=active,
        questions=asked.questions,
        judge=asked.judge,
        file=str(path.resolve()),
    )


class Asking(NamedTuple):
    """Whom a recipe asks about rows."""

    questions: tuple[Question, ...] = ()
    judge: Judge | None = None


def load_asking(path: Path) -> Asking:
    """Load the questions and the judges of a curation recipe alone; nothing of it is imported.

    Raises:
        InputError: with every problem and its line.
    """
    return _open_asking(read_yaml(path).validate(CurationRecipe), path.parent)


def _open_asking(recipe: CurationRecipe, base: Path) -> Asking:
    specs = [spec.rebase(base) for spec in recipe.questions]
    questions = tuple(Question(spec, QuestionPrompt.load(spec)) for spec in specs)
    if recipe.judge is None:
        return Asking(questions)
    judge = recipe.judge.rebase(base)
    return Asking(questions, Judge(judge, JudgePrompt.load(judge.template)))


def _list_shipped(recipe: CurationRecipe) -> tuple[Filter, ...]:
    found = (getattr(recipe.filters, name) for name in FilterTable.model_fields)
    return tuple(filter_ for filter_ in found if filter_ is not None)


def _open_own(
    spec: OwnFilter, index: int, document: YamlDocument, base: Path, problems: list[Problem]
) -> Filter | None:
    try:
        found = _import_class(spec.use, base)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is somebody else's module, and may raise anything
        message = f"{spec.use} cannot be imported: {type(error).__name__}: {error}"
        problems.append(document.problem(("own", index, "use"), message))
        return None
    if not (isinstance(found, type) and issubclass(found, (RowFilter, VariantFilter, RunFilter))):
        message = f"{spec.use} is not a subclass of RowFilter, VariantFilter or RunFilter"
        problems.append(document.problem(("own", index, "use"), message))
        return None
    missing = [name for name in ("name", "summary") if not isinstance(getattr(found, name, None), str)]
    if missing:
        message = f"{spec.use} has no {' and no '.join(missing)}"
        problems.append(document.problem(("own", index, "use"), message))
        return None
    try:
        return found.model_validate(spec.parameters)
    except ValidationError as error:
        problems += [
            document.problem(("own", index, "parameters", *detail["loc"]), detail["msg"])
            for detail in error.errors()
        ]
        return None


def _import_class(place: str, base: Path) -> Any:
    """Import by path, from what is installed or from the recipe's own folder."""
    module, _, name = place.partition(":")
    sys.path.insert(0, str(base.resolve()))
    try:
        return getattr(importlib.import_module(module), name)
    finally:
        sys.path.pop(0)
