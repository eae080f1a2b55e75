#!/usr/bin/env python3
"""A stand-in for a judge's server, to try the recipe without a second language model.

Run it by itself, and stop it with Ctrl-C::

    python example_judge.py --port 8000

It answers OpenAI's chat completions at ``http://localhost:8000/v1`` with a grade from 0 to 10: how
many words the question's candidate and reference have in common (ROUGE-L). It understands
nothing; a real judge is a server of a language model.
"""

import argparse
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from speechqa_plugin.metrics import rouge_l


def grade(question):
    """0 to 10 for a question of `speechqa_plugin.text.prompts.build_judge_prompt`.

    Example
    -------
    >>> grade("<reference>a low hum</reference> <candidate>a low hum</candidate>")
    10
    """
    said = {tag: text for tag, text in re.findall(r"<(\w+)>(.*?)</\1>", question, re.DOTALL)}
    return round(10 * rouge_l(said["candidate"], said["reference"]))


class Handler(BaseHTTPRequestHandler):
    """Answers every request with the grade of its last message."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """One chat completion."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = {"role": "assistant", "content": str(grade(request["messages"][-1]["content"]))}
        body = {
            "id": "example",
            "object": "chat.completion",
            "created": 0,
            "model": request["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        }
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        """Say nothing of each request."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port
    server = ThreadingHTTPServer(("localhost", port), Handler)
    print(f"http://localhost:{server.server_port}/v1", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()
