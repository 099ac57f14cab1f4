"""Loggers and trackers for tests: two in memory, and a server of MLflow's that can go away."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from pytorch_lightning.loggers.logger import Logger

from spanloc.training.tracking import Tracker


class Recorder(Logger):
    """A logger that keeps what it is told."""

    name = version = "recorder"

    def __init__(self):
        super().__init__()
        self.rows = []

    def log_hyperparams(self, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        self.rows.append({**metrics, "step": step})

    def column(self, name):
        return {row["step"]: row[name] for row in self.rows if name in row}


class Notebook(Tracker):
    """Keeps what it gets in the class; ``fails`` names what it cannot do."""

    key, module = "notebook", "math"
    runs: ClassVar[list] = []

    def _do(self, action, *values):
        if self.options.get("fails") == action:
            raise ConnectionError(f"no answer to {action}")
        self.calls.append((action, *values))

    def _start(self, config, resumed):
        self.calls, self.config, self.resumed = [], config, resumed
        self._do("start")
        self.runs.append(self)
        return f"id-{len(self.runs)}"

    def _log(self, metrics, step):
        self._do("log", metrics, step)

    def _image(self, name, path, step):
        self._do("image", name, path, step)

    def _end(self, status):
        self._do("end", status)

    def of(self, action):
        return [values for name, *values in self.calls if name == action]


@contextmanager
def mlflow_server(lost_at=None):
    """Address and requests of a server of MLflow's, which goes away at a request of this name."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size).decode() or "{}"
            path = self.path.split("?")[0].removeprefix("/api/2.0/mlflow/")
            requests.append((path, json.loads(body)))
            if lost_at is not None and lost_at(*requests[-1]):
                # From here on the port is closed.
                server.socket.close()
                self.close_connection = True
                return
            answers = {
                "experiments/get-by-name": {"experiment": {"experiment_id": "7"}},
                "runs/create": {"run": {"info": {"run_id": "r1"}, "data": {}}},
            }
            content = json.dumps(answers.get(path, {})).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815 - the names that http.server looks for

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
    finally:
        server.shutdown()
        server.server_close()
