"""Errors in one form, whoever raises them."""

import json

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from proxy.ops.admin.errors import errors_as_json


async def test_aiohttps_other_errors_have_it_too() -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPBadRequest

    answer = await errors_as_json(make_mocked_request("GET", "/"), handler)

    assert isinstance(answer, web.Response)
    assert answer.status == 400
    assert json.loads(answer.text or "") == {"error": "Bad Request.", "code": "refused"}
