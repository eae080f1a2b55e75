"""A server that speaks OpenAI's chat completions, and can fail in the ways that servers do."""

from __future__ import annotations

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(content) -> dict:
    """Body of a chat completion."""
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [choice],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


# What a server does with a request, given its handler. `says` is how it should be.


def says(content):
    return sends(json.dumps(completion(content)))


def sends(body: str | bytes, status: int = 200, **headers):
    data = body.encode() if isinstance(body, str) else body

    def act(handler):
        handler.start(status, len(data), **headers)
        handler.wfile.write(data)

    return act


def after(seconds: float, act):
    def wait_and_act(handler):
        time.sleep(seconds)
        act(handler)

    return wait_and_act


def hangs(handler):
    """Nothing comes."""
    handler.server.closing.wait()


def trickles(handler):
    """A byte in time for every time limit on reading, and no end."""
    handler.start(200, 1_000_000)
    while not handler.server.closing.wait(0.05):
        handler.wfile.write(b" ")


def breaks_off(handler):
    """Half an answer."""
    body = json.dumps(completion("7")).encode()
    handler.start(200, len(body))
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def start(self, status: int, length: int, **headers):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.body = body
        self.prompt = body["messages"][-1]["content"]
        with server.lock:
            server.requests.append((self.path, headers, body))
            act = server.acts.pop(0) if len(server.acts) > 1 else server.acts[0]
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
        try:
            act(self)
        except OSError:  # the client went away
            self.close_connection = True
        finally:
            with server.lock:
                server.busy -= 1

    def log_message(self, *args):
        pass


class JudgeServer(ThreadingHTTPServer):
    """Serves while in a ``with``: each request gets the next of the acts, the last one for ever."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    handler = Handler

    def __init__(self, *acts):
        super().__init__(("127.0.0.1", 0), self.handler)
        self.acts = list(acts)
        self.requests: list[tuple[str, dict, dict]] = []
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.busy = self.most_busy = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def prompts(self) -> list[str]:
        return [body["messages"][-1]["content"] for _, _, body in self.requests]

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *error):
        self.closing.set()
        self.shutdown()
        self.server_close()


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
