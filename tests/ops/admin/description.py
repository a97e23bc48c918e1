"""docs/admin-api.yaml, and holding answers to it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from tests.ops.admin.conftest import Reply

DESCRIBED = yaml.safe_load((Path(__file__).parents[3] / "docs/admin-api.yaml").read_text())
PATHS = DESCRIBED["paths"]
SCHEMAS = DESCRIBED["components"]["schemas"]


def resolved(node: Any) -> Any:
    """What a reference leads to."""
    while isinstance(node, dict) and "$ref" in node:
        found: Any = DESCRIBED
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def operations() -> Iterator[tuple[str, str, Any]]:
    for path, methods in PATHS.items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def closed(node: Any) -> Any:
    """The same schemas, which allow nothing that they do not name: what is answered and not described is noticed."""
    if isinstance(node, list):
        return [closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    inner = {name: closed(value) for name, value in node.items()}
    return {"additionalProperties": False, **inner} if isinstance(node.get("properties"), dict) else inner


CLOSED = {"components": {"schemas": closed(SCHEMAS)}}


def check(reply: Reply, path: str, method: str = "GET") -> None:
    """Holds an answer to what is described."""
    responses = PATHS[path][method.lower()]["responses"]
    described = resolved(responses.get(str(reply.status), responses["default"]))
    kind = reply.headers["Content-Type"].partition(";")[0]
    assert kind in described["content"], f"{method} {path} is answered {reply.status} {kind}"
    assert described.get("headers", {}).keys() <= reply.headers.keys()
    if kind == "application/json":
        schema = {**CLOSED, **described["content"][kind]["schema"]}
        Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(reply.json)
