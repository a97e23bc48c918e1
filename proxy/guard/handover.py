"""Handing something over from a task of ours to the request that waits for it, whose browser may leave."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Handover(Generic[T]):
    """One value, which belongs to its giver and is lent to its taker; to be made on a running loop."""

    def __init__(self) -> None:
        self._value: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._returned = asyncio.Event()

    @contextmanager
    def giving(self) -> Iterator[None]:
        """Whatever ends the context before the value was given ends the taker's wait for it: errors are the taker's."""
        try:
            yield
        except Exception as error:
            if self._value.done():
                raise
            self._value.set_exception(error)
        finally:
            self._value.cancel()

    async def give(self, value: T) -> None:
        """Lends the value until its taker is done with it; not at all if the taker has left."""
        if not self._value.done():
            self._value.set_result(value)
            await self._returned.wait()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[T]:
        """The value, for as long as the context lasts.

        Raises:
            Exception: the giver's.
        """
        try:
            yield await self._value
        finally:
            self._returned.set()
