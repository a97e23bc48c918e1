"""Several things at once have one owner, and one error ends them all."""

import asyncio

import pytest

from tests.bench.waiting import happens, share_out, together


async def _after(turns: int, said: str) -> str:
    for _ in range(turns):
        await asyncio.sleep(0)
    return said


async def test_all_results_come_in_order() -> None:
    assert await together([_after(3, "a"), _after(1, "b")]) == ["a", "b"]


async def test_an_error_ends_the_others_and_is_raised_as_it_is() -> None:
    ended = asyncio.Event()

    async def forever() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    async def fail() -> str:
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        await together([forever(), fail()])
    assert ended.is_set()


async def test_work_is_shared_out_among_all_workers() -> None:
    done: list[str] = []

    async def work(worker: str) -> None:
        await asyncio.sleep(0)
        done.append(worker)

    await share_out(5, ["a", "b"], work)
    assert sorted(done) in (["a", "a", "a", "b", "b"], ["a", "a", "b", "b", "b"])


async def test_what_does_not_happen_is_given_up() -> None:
    assert await happens(lambda: True, 0)
    assert not await happens(lambda: False, 0.01)
