"""A judge behind an OpenAI-compatible server: vLLM, llama.cpp, a hosted one."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from urllib.parse import urlsplit

from speechqa_plugin.judges.base import Failed, Failure, TextJudge

_CHATTY = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")
"""Loggers of the client and what it stands on: fifteen lines a request where all is logged."""
_NO_COMPLETION = Failed(Failure.GARBAGE, "the first was no chat completion in JSON")


class ServerJudge(TextJudge):
    """Asks a server, all prompts of a call at once, and is back within the deadline.

    Every call is one wave under one deadline, whatever the server does: connecting, retries (the
    client's own: twice the wait after each, a server's ``Retry-After`` heeded) and answers that
    trickle in are all inside it. What came in time counts, the rest is None. There is no giving
    up for good: a server that comes back is heard again, and until then a call costs at most its
    deadline and leaves a warning.

    Arguments
    ---------
    base_url : str
        The server's, such as ``http://localhost:8000/v1``.
    model : str
        Its name for the model.
    api_key_env : str or None
        Environment variable that holds the key. None sends no key of yours.
    concurrency : int
        Prompts that the server is asked at once.
    deadline_s : float
        Longest that a call may take, in seconds. On several processes the others wait in the next
        collective, so it must be shorter than their time limit (PyTorch's is 10 minutes or more).
    retries : int
        How often a prompt is tried again after a failed connection or a status of 408, 409, 429
        or from 500 on.
    max_tokens : int
        Limit of a reply. A model that thinks needs hundreds, or ``extra_body``.
    extra_body : mapping or None
        Further fields of a request that the server knows. vLLM and llama.cpp switch off the
        thinking of Qwen3 by ``{chat_template_kwargs: {enable_thinking: False}}``.

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
    >>> judge = ServerJudge("http://localhost:8000/v1", "Qwen/Qwen3-8B", deadline_s=30)
    >>> judge.judge([])
    []
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key_env: str | None = None,
        concurrency: int = 32,
        deadline_s: float = 60.0,
        retries: int = 2,
        max_tokens: int = 16,
        extra_body: Mapping | None = None,
    ):
        _client_library()
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query:
            raise ValueError(
                "base_url must be like http://host:8000/v1, without a password or a query; a key "
                "belongs in the environment variable that api_key_env names"
            )
        key = _key(api_key_env)
        if api_key_env is not None and not (key and key.isascii() and key.isprintable()):
            raise ValueError(f"environment variable {api_key_env} must hold the key, one line")
        numbers = {"concurrency": concurrency, "deadline_s": deadline_s, "max_tokens": max_tokens}
        small = {n: v for n, v in {**numbers, "retries + 1": retries + 1}.items() if v <= 0}
        if small:
            raise ValueError(f"{small}: need numbers above 0")
        super().__init__(f"judge {model} at {base_url}")
        self.base_url = base_url
        self.model = model
        self.api_key_env = api_key_env
        self.concurrency = concurrency
        self.deadline_s = deadline_s
        self.retries = retries
        self.max_tokens = max_tokens
        self.extra_body = dict(extra_body or {})

    def ask(self, prompts: Sequence[str]) -> list[str | Failed]:
        """See `TextJudge`."""
        late = Failed(Failure.TIMEOUT, f"not answered within {self.deadline_s:g} s")
        replies: list[str | Failed] = [late] * len(prompts)
        done: Future[None] = Future()

        def wave():
            try:
                done.set_result(asyncio.run(self._wave(prompts, replies)))
            except BaseException as error:  # handed over to the caller
                done.set_exception(error)

        # A thread of its own, as the caller may have a running loop, and as not all that a loop
        # does can be cancelled (looking up a host). It never outlives the wave but for that.
        threading.Thread(target=wave, name="judge", daemon=True).start()
        with suppress(TimeoutError):
            done.result(self.deadline_s)
        return list(replies)

    async def _wave(self, prompts: Sequence[str], replies: list[str | Failed]) -> None:
        openai = _client_library()
        gate = asyncio.Semaphore(self.concurrency)
        client = openai.AsyncOpenAI(
            base_url=self.base_url,
            api_key=_key(self.api_key_env) or "none",
            timeout=self.deadline_s,
            max_retries=self.retries,
        )

        async def one(i: int) -> None:
            async with gate:
                replies[i] = await self._reply(client, prompts[i])

        async with asyncio.timeout(self.deadline_s), client:
            await asyncio.gather(*map(one, range(len(prompts))))

    async def _reply(self, client, prompt: str) -> str | Failed:
        openai = _client_library()
        # What an error says may repeat what was sent, so it goes nowhere.
        try:
            completion = await client.chat.completions.create(
                model=self.model,
                messages=[{"role": "user", "content": prompt.encode(errors="replace").decode()}],
                temperature=0,
                max_tokens=self.max_tokens,
                extra_body=self.extra_body,
            )
        except openai.APITimeoutError:
            return Failed(Failure.TIMEOUT, "the client gave up")
        except openai.APIConnectionError as error:
            return Failed(Failure.CONNECTION, f"the first was {type(error.__cause__).__name__}")
        except openai.APIStatusError as error:
            return Failed(Failure.HTTP_ERROR, f"the first was status {error.status_code}")
        except (openai.APIError, json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            return _NO_COMPLETION
        try:  # the client does not check what JSON it was given
            content = completion.choices[0].message.content
        except (AttributeError, LookupError, TypeError):
            return _NO_COMPLETION
        if not isinstance(content, str):
            return _NO_COMPLETION
        key = _key(self.api_key_env)
        return content.replace(key, "[key]") if key else content


def _key(variable: str | None) -> str:
    return os.environ.get(variable, "").strip() if variable else ""


def _client_library():
    try:
        import openai
    except ImportError as error:
        raise ImportError(
            "ServerJudge needs the openai client: pip install 'speechqa-plugin[judge]'"
        ) from error
    for logger in map(logging.getLogger, _CHATTY):
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
    return openai
