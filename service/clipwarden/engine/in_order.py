"""Many things to work at, several at a time; what became of them in the order they came."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


async def in_order(
    items: Iterable[T] | AsyncIterable[T], work: Callable[[T], Awaitable[U]], *, width: int
) -> AsyncGenerator[U, None]:
    """Work at several items at once, and give the results in the items' order.

    Args:
        items: Taken one by one, as there is room.
        work: What it raises ends the whole; so does leaving the generator, and then what is at work is cancelled.
        width: Most items at work, or done and not yet taken; at least 1.

    Yields:
        One result an item.
    """
    if width < 1:
        raise ValueError("at least one item has to be at work")
    window: deque[asyncio.Task[U]] = deque()
    try:
        async for item in _asynchronous(items):
            if len(window) >= width:
                yield await window.popleft()
            window.append(asyncio.ensure_future(_call(work, item)))
        while window:
            yield await window.popleft()
    finally:
        for task in window:
            task.cancel()
        await asyncio.gather(*window, return_exceptions=True)


async def _call(work: Callable[[T], Awaitable[U]], item: T) -> U:
    return await work(item)


async def _asynchronous(items: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
