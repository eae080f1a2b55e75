"""`ServerJudge` against a server that is really there, with all its faults."""

import asyncio
import json
import logging
import socket
import subprocess
import sys
import threading
import time

import pytest
from judge_server import (
    JudgeServer,
    after,
    breaks_off,
    closed_port,
    completion,
    hangs,
    says,
    sends,
    trickles,
)

pytest.importorskip("openai", reason="pip install 'speechqa-plugin[judge]' brings the client")

from speechqa_plugin import chat_server  # noqa: E402
from speechqa_plugin.judges import ServerJudge  # noqa: E402

KEY = "sk-very-secret-0123456789"
MARGIN_S = 2.0
"""What a call may take beyond its deadline on a busy machine."""


def make_judge(server, **options):
    base_url = server if isinstance(server, str) else server.base_url
    return ServerJudge(base_url, **{"model": "small", "deadline_s": 20, "retries": 0, **options})


def failures(judge):
    counts = judge.take_counts().items()
    return {k.rpartition("/")[2]: n for k, n in counts if k.startswith("judge/failures") and n}


def timed(call, *arguments):
    start = time.perf_counter()
    return call(*arguments), time.perf_counter() - start


# As it should be


def test_question_and_grade():
    with JudgeServer(says("Score: 7/10")) as server:
        judge = make_judge(server, extra_body={"chat_template_kwargs": {"enable_thinking": False}})
        assert judge.judge(["How good?"]) == [7]
    ((path, headers, body),) = server.requests
    assert path == "/v1/chat/completions"
    assert body == {
        "model": "small",
        "messages": [{"role": "user", "content": "How good?"}],
        "temperature": 0,
        "max_tokens": 16,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    assert failures(judge) == {}


def test_grades_belong_to_their_prompts_whatever_comes_first():
    def echo(handler):
        time.sleep(0.02 * (10 - int(handler.prompt)))
        says(handler.prompt)(handler)

    prompts = [str(i) for i in range(11)]
    with JudgeServer(echo) as server:
        assert make_judge(server).judge(prompts) == list(range(11))


def test_never_more_at_once_than_allowed_and_no_fewer():
    with JudgeServer(after(0.1, says("7"))) as server:
        assert make_judge(server, concurrency=3).judge([str(i) for i in range(9)]) == [7] * 9
    assert server.most_busy == 3


def test_a_grade_is_not_asked_for_again():
    with JudgeServer(says("7")) as server:
        judge = make_judge(server)
        assert judge.judge(["a", "b", "a"]) == [7, 7, 7]
        assert judge.judge(["b", "a", "c"]) == [7, 7, 7]
    assert sorted(server.prompts) == ["a", "b", "c"]


def test_inside_a_running_loop():
    """As in a notebook."""

    async def cell(judge):
        return judge.judge(["a"])

    with JudgeServer(says("7")) as server:
        assert asyncio.run(cell(make_judge(server))) == [7]


# Faults


def test_passing_errors_are_tried_again():
    with JudgeServer(sends("{}", 500), sends("{}", 503), says("7")) as server:
        judge = make_judge(server, retries=2)
        assert judge.judge(["a"]) == [7]
    assert len(server.requests) == 3
    assert failures(judge) == {}


@pytest.mark.parametrize(("status", "requests"), [(500, 2), (429, 2), (401, 1), (404, 1)])
def test_lasting_errors_are_none_and_retries_bounded(status, requests, caplog):
    with JudgeServer(sends("{}", status)) as server:
        judge = make_judge(server, retries=1)
        assert judge.judge(["a"]) == [None]
    assert len(server.requests) == requests
    assert failures(judge) == {"http_error": 1}
    assert f"http_error: the first was status {status}" in caplog.text


@pytest.mark.parametrize(
    "act",
    [
        says("I think"),
        says("11"),
        says(""),
        says(None),
        says(["7"]),
        says(7),
        sends(""),
        sends("<html>7</html>"),
        sends(json.dumps(completion("7"))[:-20]),
        sends("[]"),
        sends("null"),
        sends("7"),
        sends("{}"),
        sends('{"choices": []}'),
        sends('{"choices": [7]}'),
        sends('{"choices": [{"message": null}]}'),
        sends('{"choices": [{"message": {"content": "\\ud800"}}]}'),
        sends("7", Content_Encoding="gzip"),
        sends("[" * 100_000),
        sends(b"\xff\xfe"),
    ],
)
def test_garbage_is_none(act):
    with JudgeServer(act) as server:
        judge = make_judge(server)
        assert judge.judge(["a", "b"]) == [None, None]
    assert failures(judge) == {"garbage": 2}


def test_a_prompt_that_is_no_unicode_is_asked_all_the_same():
    with JudgeServer(says("7")) as server:
        assert make_judge(server).judge(["\ud800?"]) == [7]
    assert server.prompts == ["??"]


def test_half_an_answer_is_tried_again_and_then_none():
    with JudgeServer(breaks_off) as server:
        judge = make_judge(server, retries=1)
        assert judge.judge(["a"]) == [None]
        assert failures(judge) == {"connection": 1}
        server.acts = [breaks_off, says("7")]
        assert judge.judge(["a"]) == [7]
    assert len(server.requests) == 4


def test_nobody_there():
    judge = make_judge(f"http://127.0.0.1:{closed_port()}/v1", retries=1)
    assert judge.judge(["a", "b"]) == [None, None]
    assert failures(judge) == {"connection": 2}


@pytest.mark.parametrize("act", [hangs, trickles, sends("{}", 429, Retry_After="30")])
def test_the_deadline_holds_for_the_whole_wave(act, caplog):
    """Of nine prompts three at a time: not a deadline each."""
    with JudgeServer(act) as server:
        judge = make_judge(server, concurrency=3, retries=5, deadline_s=0.5)
        grades, seconds = timed(judge.judge, [str(i) for i in range(9)])
    assert grades == [None] * 9
    assert 0.5 <= seconds < 0.5 + MARGIN_S
    assert failures(judge) == {"timeout": 9}
    assert caplog.messages == [
        f"judge small at {server.base_url}: no grade for 9 of 9 prompts, timeout: "
        "not answered within 0.5 s"
    ]


def test_a_server_that_does_not_even_accept():
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        judge = make_judge(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1", deadline_s=0.5)
        grades, seconds = timed(judge.judge, ["a"])
    assert grades == [None]
    assert seconds < 0.5 + MARGIN_S
    assert failures(judge) == {"timeout": 1}


def test_a_lookup_that_cannot_be_cancelled_does_not_hold_up(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(10))
    judge = make_judge("http://judge.invalid/v1", deadline_s=0.5)
    grades, seconds = timed(judge.judge, ["a"])
    released.set()
    assert grades == [None]
    assert seconds < 0.5 + MARGIN_S


def test_what_came_in_time_counts():
    with JudgeServer(says("7"), hangs, says("7"), hangs) as server:
        judge = make_judge(server, deadline_s=1)
        grades = judge.judge(list("abcd"))
        assert sorted(grades, key=str) == [7, 7, None, None]
        assert failures(judge) == {"timeout": 2}
        server.acts = [says("3")]  # it has come back
        again = judge.judge(list("abcd"))
    assert again == [g or 3 for g in grades]


def test_an_error_of_ours_is_raised_not_counted(monkeypatch):
    judge = make_judge("http://localhost/v1")
    monkeypatch.setattr(judge, "extra_body", 7)
    with pytest.raises(TypeError):
        judge.judge(["a"])

    async def ask(client, item):
        raise TimeoutError("not the wave's")

    with pytest.raises(TimeoutError, match="not the wave's"):
        judge.server.ask_all(ask, ["a"], None)


def test_a_text_that_the_limit_cut_is_no_grade():
    body = completion("Let me see. The reference gives a 4")
    body["choices"][0]["finish_reason"] = "length"
    with JudgeServer(sends(json.dumps(body))) as server:
        judge = make_judge(server)
        assert judge.judge(["a"]) == [None]
        assert failures(judge) == {"garbage": 1}


@pytest.mark.parametrize("act", [hangs, trickles])
def test_nothing_is_left_behind(act):
    before = set(threading.enumerate())
    with JudgeServer(act) as server:
        judge = make_judge(server, deadline_s=0.2)
        for _ in range(3):
            judge.judge(["a"])
        time.sleep(0.2)
        mine = {t for t in threading.enumerate() if t.name == "chat_server"}
    assert mine - before == set()


EXIT = """
import sys
from speechqa_plugin.judges import ServerJudge
assert ServerJudge(sys.argv[1], "small", deadline_s=0.3).judge(["a"]) == [None]
print("done", flush=True)
"""


def test_the_interpreter_ends_after_a_hanging_server():
    with JudgeServer(hangs) as server:
        command = [sys.executable, "-c", EXIT, server.base_url]
        result = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr


# The key


def test_the_key_is_sent_and_never_told(monkeypatch, caplog):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    for name in (None, *chat_server._CHATTY):
        caplog.set_level(logging.DEBUG, name)
    acts = [says("7"), sends(f'{{"error": "Incorrect API key: {KEY}"}}', 401), says(KEY), hangs]
    with JudgeServer(*acts) as server:
        judge = make_judge(server, api_key_env="JUDGE_KEY", deadline_s=1)
        assert [judge.judge([p]) for p in "abd"] == [[7], [None], [None]]
    assert {h["authorization"] for _, h, _ in server.requests} == {f"Bearer {KEY}"}
    assert "'[key]'" in caplog.text
    ours = [r for r in caplog.records if r.name.startswith("speechqa_plugin")]
    assert len(ours) == 2
    assert KEY not in caplog.text
    assert KEY not in repr(judge) + repr(vars(judge)) + repr(vars(judge.server))


def test_another_servers_key_is_not_sent(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway: gate-secret")
    with JudgeServer(says("7")) as server:
        assert make_judge(server).judge(["a"]) == [7]
    ((_, headers, _),) = server.requests
    assert KEY not in str(headers) and "secret" not in str(headers)


@pytest.mark.parametrize("value", [None, "", " \n", f"{KEY}\nX-More: {KEY}", f"{KEY}\u00e9"])
def test_a_key_that_cannot_be_one_is_told_at_once(monkeypatch, value):
    monkeypatch.setenv("JUDGE_KEY", value or "")
    if value is None:
        monkeypatch.delenv("JUDGE_KEY")
    with pytest.raises(ValueError, match="JUDGE_KEY must hold the key, one line") as error:
        make_judge("http://localhost/v1", api_key_env="JUDGE_KEY")
    assert KEY not in str(error.value)


def test_the_client_does_not_fill_the_log(caplog):
    """SpeechBrain lets everything into its log file."""
    caplog.set_level(logging.DEBUG)
    with JudgeServer(sends("{}", 500), says("7")) as server:
        assert make_judge(server, retries=1).judge(["a"]) == [7]
    assert {r.name for r in caplog.records} <= {"asyncio"}


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        f"https://me:{KEY}@host/v1",
        f"https://:{KEY}@host/v1",
        f"https://host/v1?key={KEY}",
        "",
    ],
)
def test_an_address_that_is_none_or_has_a_password(url):
    with pytest.raises(ValueError, match="base_url must be like") as error:
        make_judge(url)
    assert KEY not in str(error.value)


@pytest.mark.parametrize(
    "options", [{"concurrency": 0}, {"deadline_s": 0}, {"retries": -1}, {"max_tokens": 0}]
)
def test_numbers_too_small(options):
    with pytest.raises(ValueError, match="need numbers above 0"):
        make_judge("http://localhost/v1", **options)


def test_a_missing_client_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ImportError, match=r"pip install 'speechqa-plugin\[judge\]'"):
        make_judge("http://localhost/v1")
