"""An OpenAI-compatible server (vLLM, llama.cpp, a hosted one), asked in waves that end in time."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

_CHATTY = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")
"""Loggers of the client and what it stands on: fifteen lines a request where all is logged."""


class ChatServer:
    """A server's address and key, and how it is asked.

    Arguments
    ---------
    base_url : str
        The server's, such as ``http://localhost:8000/v1``.
    api_key_env : str or None
        Environment variable that holds the key. None sends no key of yours.
    concurrency : int
        Requests that the server gets at once.
    deadline_s : float
        Longest that a wave may take, in seconds.
    retries : int
        How often a request is tried again after a failed connection or a status of 408, 409, 429
        or from 500 on.

    Raises
    ------
    ImportError
        If the client is not installed.
    ValueError
        If the address is none or holds a password, the variable holds no key or a number is too
        small.

    Example
    -------
    >>> import pytest
    >>> _ = pytest.importorskip("openai")
    >>> ChatServer("http://localhost:8000/v1").ask_all(None, [], None)
    []
    """

    def __init__(
        self,
        base_url: str,
        api_key_env: str | None = None,
        concurrency: int = 32,
        deadline_s: float = 60.0,
        retries: int = 2,
    ):
        client_library()
        url = urlsplit(base_url)
        if (
            url.scheme not in ("http", "https")
            or not url.hostname
            or "@" in url.netloc
            or url.query
        ):
            raise ValueError(
                "base_url must be like http://host:8000/v1, without a password or a query; a key "
                "belongs in the environment variable that api_key_env names"
            )
        key = _key(api_key_env)
        if api_key_env is not None and not (key and key.isascii() and key.isprintable()):
            raise ValueError(f"environment variable {api_key_env} must hold the key, one line")
        numbers = {"concurrency": concurrency, "deadline_s": deadline_s, "retries + 1": retries + 1}
        small = {name: number for name, number in numbers.items() if number <= 0}
        if small:
            raise ValueError(f"{small}: need numbers above 0")
        self.base_url = base_url
        self.api_key_env = api_key_env
        self.concurrency = concurrency
        self.deadline_s = deadline_s
        self.retries = retries

    def ask_all(
        self, ask: Callable[[Any, Any], Awaitable[Any]], items: Sequence[Any], late: Any
    ) -> list[Any]:
        """Ask about all items at once, and be back within the deadline, whatever the server does.

        Connecting, retries (the client's own: twice the wait after each, a server's
        ``Retry-After`` heeded) and answers that trickle in are all inside it.

        Arguments
        ---------
        ask : callable
            Coroutine function of an ``openai.AsyncOpenAI`` and an item. What it raises is raised
            here, at once.
        items : sequence
            N of them.
        late : object
            In place of a result that did not come in time.

        Returns
        -------
        list
            N results.
        """
        if not items:
            return []
        results = [late] * len(items)
        done: Future[None] = Future()

        def wave():
            try:
                done.set_result(asyncio.run(self._wave(ask, items, results)))
            except BaseException as error:  # handed over to the caller
                done.set_exception(error)

        # A thread of its own, as the caller may have a running loop, and as not all that a loop
        # does can be cancelled (looking up a host). It never outlives the wave but for that.
        threading.Thread(target=wave, name="chat_server", daemon=True).start()
        with suppress(TimeoutError):
            done.result(self.deadline_s)
        if done.done() and (error := done.exception()):
            raise error
        return list(results)

    async def _wave(self, ask, items: Sequence[Any], results: list[Any]) -> None:
        gate = asyncio.Semaphore(self.concurrency)
        client = client_library().AsyncOpenAI(
            base_url=self.base_url,
            api_key=_key(self.api_key_env) or "none",
            timeout=self.deadline_s,
            max_retries=self.retries,
        )
        if self.api_key_env is None:  # nor what else the environment has for another server
            client.organization = client.project = None
            client._custom_headers = {}

        async def one(i: int) -> None:
            async with gate:
                results[i] = await ask(client, items[i])

        try:
            async with asyncio.timeout(self.deadline_s) as deadline, client:
                await asyncio.gather(*map(one, range(len(items))))
        except TimeoutError:
            if not deadline.expired():
                raise

    def without_key(self, text: str) -> str:
        """What the server said, fit to be shown."""
        key = _key(self.api_key_env)
        return text.replace(key, "[key]") if key else text


def client_library():
    """The module ``openai``, which logs warnings only."""
    try:
        import openai
    except ImportError as error:
        raise ImportError(
            "a server is asked by the openai client: pip install 'speechqa-plugin[judge]'"
        ) from error
    for logger in map(logging.getLogger, _CHATTY):
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
    return openai


def _key(variable: str | None) -> str:
    return os.environ.get(variable, "").strip() if variable else ""
