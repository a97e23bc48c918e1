"""docs/admin-api.yaml describes the admin listener: every call of it, and what each answers."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from proxy.core.records import Cancel, Ending, Slot, SlotFreedBy, StreamState
from proxy.ops.admin import Admission, application
from proxy.ops.feed import WATCHERS
from tests.ops.admin.arranged import away, busy, over, quiet, waiting
from tests.ops.admin.conftest import Guard, Operator, Reply, Serve
from tests.ops.admin.description import DESCRIBED, PATHS, SCHEMAS, check, operations


def routes(guard: Guard) -> set[tuple[str, str]]:
    """Method and path of whatever the listener answers; HEAD goes with GET."""
    app = application(guard.views(), guard.metrics, guard.feed, guard.drain, Admission("127.0.0.1", None))
    found = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource}
    return {(method, path) for method, path in found if method != "HEAD"}


# -- the description itself -----------------------------------------------------------------------


def test_every_reference_leads_to_something_that_is_used() -> None:
    text = json.dumps(DESCRIBED)
    used = set(re.findall(r'"\$ref": "#/components/(\w+/\w+)"', text))
    kinds = ("schemas", "responses")
    there = {f"{kind}/{name}" for kind in kinds for name in DESCRIBED["components"][kind]}
    assert used == there


def test_no_text_was_cut_at_a_comma() -> None:
    """As YAML does in braces, where the rest becomes a name without a value."""

    def names_without_a_value(node: Any) -> list[str]:
        if isinstance(node, list):
            return [name for each in node for name in names_without_a_value(each)]
        if not isinstance(node, dict):
            return []
        return [
            name for key, value in node.items() for name in ([key] if value is None else names_without_a_value(value))
        ]

    assert names_without_a_value(DESCRIBED) == []


def test_every_schema_is_one() -> None:
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)


def test_every_operation_has_a_name_of_its_own_and_describes_its_parameters() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    for path, _, operation in operations():
        parameters = operation.get("parameters", [])
        assert {each["name"] for each in parameters if each["in"] == "path"} == set(re.findall(r"\{(\w+)\}", path))


# -- the calls ------------------------------------------------------------------------------------


def test_every_route_is_described_and_every_described_one_exists(guard: Guard) -> None:
    there = {(method, re.sub(r"^/page/.+", "/page/{file}", path)) for method, path in routes(guard)}
    assert there == {(method, path) for path, method, _ in operations()}


@pytest.mark.parametrize("arrange", [quiet, away, waiting, busy, over])
@pytest.mark.parametrize(
    "path",
    [
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/status",
        "/api/streams",
        "/api/cancels",
        "/api/cancels/{id}",
        "/api/history",
        "/api/drain",
    ],
)
async def test_what_is_told_is_described(
    guard: Guard, operator: Operator, arrange: Callable[[Guard], None], path: str
) -> None:
    arrange(guard)
    check(await operator.ask(path.format(id="c-1")), path)


async def test_every_outcome_is_described(guard: Guard, operator: Operator) -> None:
    outcomes = set()
    for arrange in (over, busy):
        arrange(guard)
        outcomes |= {one["outcome"] for one in (await operator.ask("/api/cancels")).json["cancels"]}
        guard.receipts, guard.stops = type(guard.receipts)(), type(guard.stops)(guard.clock)
    assert outcomes | {"under_way"} == set(SCHEMAS["Cancel"]["properties"]["outcome"]["enum"])


def test_every_step_ending_and_state_is_described() -> None:
    assert SCHEMAS["Step"]["enum"] == list(Cancel("c-1", "credentials", 0.0).missing)
    assert SCHEMAS["Ending"]["enum"] == [*(ending.value for ending in Ending), None]
    assert set(SCHEMAS["StreamState"]["enum"]) == {state.value for state in StreamState} - {"ended"}
    receipt = SCHEMAS["Receipt"]["properties"]
    assert set(receipt["slot"]["enum"]) == {slot.value for slot in Slot} - {"free"}
    assert set(receipt["slot_freed_by"]["enum"]) == {by.value for by in SlotFreedBy}


async def test_open_metrics_are_described(operator: Operator) -> None:
    check(await operator.ask("/metrics", headers={"Accept": "application/openmetrics-text"}), "/metrics")


async def test_the_page_and_its_files_are_described(guard: Guard, operator: Operator) -> None:
    check(await operator.ask("/"), "/")
    files = [path for _, path in routes(guard) if path.startswith("/page/")]
    kinds = set()
    for file in files:
        reply = await operator.ask(file)
        check(reply, "/page/{file}")
        kinds.add(reply.headers["Content-Type"].partition(";")[0])
    assert kinds == PATHS["/page/{file}"]["get"]["responses"]["200"]["content"].keys()
    missing = await operator.ask("/page/none.js")
    assert missing.status == 404
    check(missing, "/page/{file}")


@pytest.fixture
async def followed(operator: Operator) -> AsyncIterator[Operator]:
    """As many follow the events already as may."""
    async with AsyncExitStack() as stack:
        for _ in range(WATCHERS):
            response = await stack.enter_async_context(operator.session.get(f"{operator.url}/api/events"))
            assert response.content_type in PATHS["/api/events"]["get"]["responses"]["200"]["content"]
        yield operator


async def test_too_many_followers_are_described(followed: Operator) -> None:
    reply = await followed.ask("/api/events")
    assert reply.status == 503
    check(reply, "/api/events")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"json": {"action": "begin"}}, 200),
        ({"json": {"action": "begin", "hold": True}}, 200),
        ({"json": {"action": "resume"}}, 409),
        ({"json": {"action": "stop"}}, 400),
        ({"data": b"begin", "headers": {"Content-Type": "text/plain"}}, 415),
        ({"data": b" " * 5000, "headers": {"Content-Type": "application/json"}}, 413),
    ],
)
async def test_draining_is_described(guard: Guard, operator: Operator, request_: dict[str, Any], status: int) -> None:
    guard.drain.ending = True
    reply = await operator.ask("/api/drain", "POST", **request_)
    assert reply.status == status
    check(reply, "/api/drain", "POST")


def test_the_body_that_drains_is_described() -> None:
    valid = Draft202012Validator(SCHEMAS["DrainAction"]).is_valid
    right = ({"action": "begin"}, {"action": "begin", "hold": True}, {"action": "resume"})
    assert all(valid(body) for body in right)
    wrong: tuple[Any, ...] = ({}, {"action": "stop"}, {"action": "begin", "now": True}, [])
    wrong = (*wrong, {"action": "begin", "hold": 1}, {"action": "resume", "hold": True})
    assert not any(valid(body) for body in wrong)


# -- refusals -------------------------------------------------------------------------------------

GUARDED = [(path, method) for path, method, operation in operations() if operation.get("security") != []]
QUERIED = [path for path, _, operation in operations() if "400" in operation["responses"]]


@pytest.mark.parametrize(("path", "method"), GUARDED)
async def test_who_may_not_look_is_told_as_described(serve: Serve, path: str, method: str) -> None:
    operator = await serve(token="a-token")
    strangers = await operator.ask(path, method)
    assert strangers.status == 401
    check(strangers, path, method)
    sites = await operator.ask(path, method, headers={"Sec-Fetch-Site": "cross-site"})
    assert sites.status == 403
    check(sites, path, method)


async def test_what_needs_no_token_is_described(serve: Serve) -> None:
    operator = await serve(token="a-token")
    free = [path for path, _, operation in operations() if operation.get("security") == []]
    statuses = [(await operator.ask(path.format(file="page.js"))).status for path in free]
    assert set(statuses) == {200}


@pytest.mark.parametrize("path", QUERIED)
async def test_a_query_that_means_nothing_is_described(operator: Operator, path: str) -> None:
    reply = await operator.ask(f"{path.format(id='c-1')}?limt=3")
    assert reply.status == 400
    check(reply, path)


@pytest.mark.parametrize(("limit", "is_one"), [(0, False), (1, True), (1000, True), (1001, False)])
async def test_the_limit_is_the_described_one(operator: Operator, limit: int, is_one: bool) -> None:  # noqa: FBT001
    (parameter,) = PATHS["/api/cancels"]["get"]["parameters"]
    assert Draft202012Validator(parameter["schema"]).is_valid(limit) is is_one
    assert ((await operator.ask(f"/api/cancels?limit={limit}")).status == 200) is is_one


async def test_the_wrong_method_is_described(operator: Operator) -> None:
    for path, method, _ in operations():
        reply = await operator.ask(path.format(file="page.js", id="c-1"), "PUT")
        assert reply.status == 405
        check(reply, path, method)


def test_what_is_not_described_would_be_noticed() -> None:
    reply = Reply(200, {"Content-Type": "application/json"}, b"", {"status": "ok", "more": 1})
    with pytest.raises(Exception, match="more"):
        check(reply, "/healthz")
    with pytest.raises(AssertionError, match="text/plain"):
        check(Reply(200, {"Content-Type": "text/plain"}, b"", None), "/healthz")
