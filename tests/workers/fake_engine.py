"""A stand-in for vLLM, run as a program of its own: ``fake_engine.py PORT [behaviour ...]``. Standard library only.

Behaviours: ``crash`` (ends at once with 3), ``stubborn`` (ignores SIGTERM), ``family`` (a child in the group, one in a
session of its own), ``chatty`` (2 MB of log first), ``hung`` (healthy, has work, makes no progress), ``sick`` (/health
answers 503), ``mute`` (/health is well, no token comes), ``slow`` (a token takes 2 s), ``busy`` (work, and progress),
``silent`` (/health takes 4 s), ``closing`` (keeps a connection until a second question comes on it), ``plain`` (refuses
log probabilities), ``lazy`` (no token without log probabilities).
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, BEHAVIOURS = int(sys.argv[1]), set(sys.argv[2:])
_steps = itertools.count()


def _metrics() -> str:
    steps = next(_steps) if "busy" in BEHAVIOURS else 7
    work = 1.0 if "busy" in BEHAVIOURS else 0.0
    return (
        f'vllm:num_requests_running{{model_name="m"}} {work}\nvllm:num_requests_waiting{{model_name="m"}} 0.0\n'
        f'vllm:iteration_tokens_total_count{{model_name="m"}} {steps}\nnonsense without a number\n'
    )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1" if "closing" in BEHAVIOURS else "HTTP/1.0"

    def handle(self) -> None:
        if "closing" not in BEHAVIOURS:
            return super().handle()
        self.handle_one_request()
        self.rfile.read(1)
        return None

    def do_GET(self) -> None:
        if self.path == "/health":
            time.sleep(4 if "silent" in BEHAVIOURS else 0)
            self._answer(503 if "sick" in BEHAVIOURS else 200, "")
        elif self.path == "/load":
            self._answer(200, json.dumps({"server_load": len(BEHAVIOURS & {"hung", "busy"})}))
        elif self.path == "/metrics":
            self._answer(200, _metrics())
        elif self.path == "/v1/models":
            self._answer(200, json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}))
        else:
            self._answer(404, "")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        key = os.environ.get("VLLM_API_KEY")
        if key and self.headers.get("authorization") != f"Bearer {key}":
            self._answer(401, "{}")
        elif "mute" in BEHAVIOURS:
            self._answer(500, "{}")
        elif "plain" in BEHAVIOURS and "logprobs" in asked:
            self._answer(400, "{}")
        elif "lazy" in BEHAVIOURS and "logprobs" not in asked:
            self._answer(500, "{}")
        else:
            time.sleep(2 if "slow" in BEHAVIOURS else 0)
            self._answer(200, json.dumps({"choices": [{"text": "x"}]}))

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        return


def main() -> None:
    print("engine says hello", flush=True)
    if "crash" in BEHAVIOURS:
        print("ValueError: bad argument", flush=True)
        sys.exit(3)
    if "stubborn" in BEHAVIOURS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "family" in BEHAVIOURS:
        for apart in (False, True):
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=apart)
    if "chatty" in BEHAVIOURS:
        for number in range(20_000):
            print(f"line {number} " + "x" * 100, flush=number == 19_999)
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()


main()
