"""One sentence for what is wrong with the settings: where, which, what, and what to write."""

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from proxy.config.document import KeyPath, dotted
from proxy.config.settings import Settings

Origins = Mapping[KeyPath, str]
_Sections = dict[tuple[str, ...], type[BaseModel]]

_WANTED: Final = {
    "model_type": "should be a section of keys",
    "tuple_type": "should be a list",
}
_SECRETS: Final[tuple[KeyPath, ...]] = (("admin", "token"),)
_LONGEST_VALUE: Final = 60


def describe(error: ValidationError, sources: Sequence[Origins]) -> str:
    """The first problem, in one sentence that starts with where it was written.

    Args:
        error: What pydantic found in the settings.
        sources: Where each setting was written, the source that wins first.
    """
    # A misspelt key often is a missing one too; the misspelling is the better news.
    problems = error.errors(include_url=False)
    problem = min(problems, key=lambda one: one["type"] != "extra_forbidden")
    return f"{_origin(problem['loc'], sources)}: {_sentence(problem)}"


def _origin(path: KeyPath, sources: Sequence[Origins]) -> str:
    """Where a setting, something in it, or else the section around it, was written."""
    for origins in sources:
        for written, origin in origins.items():
            if written[: len(path)] == path:
                return origin
    return _origin(path[:-1], sources)


def _sentence(problem: ErrorDetails) -> str:
    path = problem["loc"]
    match problem["type"]:
        case "extra_forbidden":
            return f"there is no setting {dotted(path)}; {_nearest(path)}"
        case "missing":
            return f"{dotted(path[:-1])} also needs the key {path[-1]}"
        case "value_error":
            return f"{dotted(path)} {problem['ctx']['error']}"
        case "json_invalid":
            return "the settings hold text that is not Unicode"
    if path in _SECRETS:
        return f"{dotted(path)} should be text; put it in quotes"
    wanted = _WANTED.get(problem["type"], problem["msg"].removeprefix("Input "))
    return f"{dotted(path)} {wanted}, not {_shown(problem['input'])}"


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _nearest(path: KeyPath) -> str:
    *section, key = map(str, path)
    sections = _sections(Settings, ())
    siblings = sections[tuple(section)].model_fields
    close = [dotted((*section, name)) for name in get_close_matches(key, siblings, n=1)]
    elsewhere = [dotted((*at, key)) for at, model in sections.items() if key in model.model_fields]
    if close or elsewhere:
        return f"did you mean {(close or elsewhere)[0]}?"
    return f"known here: {', '.join(siblings)}"


def _sections(model: type[BaseModel], path: tuple[str, ...]) -> _Sections:
    """Every section's path and model, this one's first."""
    found = {path: model}
    for name, field in model.model_fields.items():
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                found |= _sections(inner, (*path, name))
    return found
