"""A judge behind an OpenAI-compatible server: vLLM, llama.cpp, a hosted one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from speechqa_plugin.chat_server import ChatServer, client_library
from speechqa_plugin.judges.base import Failed, Failure, Reply, TextJudge

_NO_COMPLETION = Failed(Failure.GARBAGE, "the first was no chat completion in JSON")


class ServerJudge(TextJudge):
    """Asks a server, all prompts of a call at once, and is back within the deadline.

    Every call is one wave of a `speechqa_plugin.chat_server.ChatServer`. What came in time counts,
    the rest is None. There is no giving up for good: a server that comes back is heard again, and
    until then a call costs at most its deadline and leaves a warning.

    Arguments
    ---------
    base_url : str
        The server's, such as ``http://localhost:8000/v1``.
    model : str
        Its name for the model.
    api_key_env, concurrency, retries
        See `speechqa_plugin.chat_server.ChatServer`.
    deadline_s : float
        Longest that a call may take, in seconds. On several processes the others wait in the next
        collective, so it must be shorter than their time limit (PyTorch's is 10 minutes or more).
    max_tokens : int
        Limit of a reply. A model that thinks needs hundreds, or ``extra_body``.
    extra_body : mapping or None
        Further fields of a request that the server knows. vLLM and llama.cpp switch off the
        thinking of Qwen3 by ``{chat_template_kwargs: {enable_thinking: False}}``.

    Errors are those of `ChatServer`, and ValueError if ``max_tokens`` is not above 0.

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
        super().__init__(f"judge {model} at {base_url}")
        self.server = ChatServer(base_url, api_key_env, concurrency, deadline_s, retries)
        if max_tokens <= 0:
            raise ValueError(f"max_tokens is {max_tokens}: need numbers above 0")
        self.model = model
        self.max_tokens = max_tokens
        self.extra_body = dict(extra_body or {})

    def ask(self, prompts: Sequence[str]) -> list[Reply | Failed]:
        """See `TextJudge`."""
        late = Failed(Failure.TIMEOUT, f"not answered within {self.server.deadline_s:g} s")
        return self.server.ask_all(self._reply, prompts, late)

    async def _reply(self, client, prompt: str) -> Reply | Failed:
        openai = client_library()
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
            choice = completion.choices[0]
            content, finished = choice.message.content, choice.finish_reason != "length"
        except (AttributeError, LookupError, TypeError):
            return _NO_COMPLETION
        if not isinstance(content, str):
            return _NO_COMPLETION
        return Reply(self.server.without_key(content), finished)
