"""Asking the running proxy, and what is said where that does not work: one sentence, with what to do."""

from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from proxy.config import AdminSettings, UserError
from proxy.console.client import asking
from tests.ops.admin.conftest import Guard, Serve

TOKEN = "correct-horse-battery-staple"

Handler = Callable[[web.Request], Awaitable[web.Response]]


def settings(port: int, **others: object) -> AdminSettings:
    return AdminSettings.model_validate({"port": port, **others})


async def refusal(admin: AdminSettings, path: str = "/api/status") -> str:
    with pytest.raises(UserError) as caught, asking(admin) as client:
        await client.ask(path)
    return str(caught.value)


async def refused_by(handler: Handler) -> str:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        assert server.port is not None
        return (await refusal(settings(server.port))).replace(str(server.port), "PORT")


async def test_it_asks_and_tells(serve: Serve, guard: Guard) -> None:
    operator = await serve(token=TOKEN)
    with asking(settings(operator.port, token=TOKEN)) as client:
        assert (await client.ask("/api/status"))["state"] == "serving"
        assert (await client.ask("/api/drain", {"action": "begin", "hold": True}))["hold"] is True
    assert guard.drain.state == "draining"


async def test_a_listener_on_every_address_is_asked_on_this_host(serve: Serve) -> None:
    operator = await serve(token=TOKEN)
    with asking(settings(operator.port, host="0.0.0.0", token=TOKEN)) as client:
        assert (await client.ask("/api/status"))["version"]


async def test_a_name_is_asked_by_that_name(serve: Serve) -> None:
    operator = await serve()
    with asking(settings(operator.port, host="localhost")) as client:
        assert (await client.ask("/api/status"))["version"]


async def test_nobody_there_is_said(unused_tcp_port: int) -> None:
    assert await refusal(settings(unused_tcp_port)) == (
        f"The running proxy could not be asked at http://127.0.0.1:{unused_tcp_port}: is it running, and is --admin"
        " where it listens?"
    )


async def test_a_token_that_is_missing_or_wrong_is_said(serve: Serve) -> None:
    operator = await serve(token=TOKEN)
    advice = f"at http://127.0.0.1:{operator.port}; set it or admin.token_file to that one"
    assert await refusal(settings(operator.port)) == f"admin.token: the running proxy asks for a token {advice}"
    wrong = await refusal(settings(operator.port, token="another-token-of-somebody"))
    assert wrong == f"admin.token: the running proxy has another token {advice}"


async def test_a_listener_that_is_switched_off_is_said() -> None:
    assert await refusal(settings(8789, enabled=False)) == (
        "admin.enabled is false, so the running proxy could not be asked: set it to true, and restart"
    )


async def test_a_proxy_that_does_not_know_the_call_is_older(serve: Serve) -> None:
    operator = await serve()
    assert await refusal(settings(operator.port), "/api/tomorrow") == (
        f"The proxy that runs at http://127.0.0.1:{operator.port} is older than this command; restart it"
    )


async def test_what_the_proxy_refuses_is_passed_on(serve: Serve, guard: Guard) -> None:
    operator = await serve()
    guard.drain.ending = True
    with pytest.raises(UserError) as caught, asking(settings(operator.port)) as client:
        await client.ask("/api/drain", {"action": "resume"})
    assert str(caught.value) == (
        f"The running proxy refused at http://127.0.0.1:{operator.port}: The proxy is about to end, and cannot resume."
    )


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (200, "[]"), (404, "<html>"), (404, '{"detail": "x"}')])
async def test_something_else_that_answers_there_is_said(status: int, body: str) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    assert await refused_by(handler) == (
        "What answers at http://127.0.0.1:PORT is no admin listener of a Stream Guard; correct --admin"
    )
