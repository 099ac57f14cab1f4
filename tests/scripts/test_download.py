import hashlib
import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import download
import pytest
from download import fetch

BODY = bytes(range(256)) * 40
OTHER = BODY[::-1]
SHA256 = hashlib.sha256(BODY).hexdigest()
QUICK = {"waits": (0.0, 0.0), "say": lambda line: None}


class Server:
    """Answers with one file; ``stop_after`` bytes of an answer, the connection breaks."""

    def __init__(self, **settings):
        self.body, self.etag, self.modified = BODY, '"one"', None
        self.stop_after, self.ranges, self.chunked, self.if_range = 4000, True, False, True
        self.status, self.claims = None, {}
        self.asked = []
        self.before = lambda number: None
        vars(self).update(settings)

    def answer(self, request):
        self.before(len(self.asked))
        wanted, condition = request.headers["Range"], request.headers["If-Range"]
        self.asked.append(wanted)
        if self.status:
            request.send_error(self.status)
            return
        version = self.etag or self.modified
        same = condition == version or not self.if_range
        first = int(wanted[6:-1]) if wanted and self.ranges and same else 0
        if first and first >= len(self.body):
            request.send_error(416)
            return
        rest = self.body[first:]
        headers = {"ETag": self.etag, "Last-Modified": self.modified}
        if self.chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = len(rest)
        if first:
            total = len(self.body)
            headers["Content-Range"] = f"bytes {first}-{total - 1}/{total}"
        request.send_response(206 if first else 200)
        for name, value in (headers | self.claims).items():
            if value is not None:
                request.send_header(name, value)
        request.end_headers()
        rest = rest[: self.stop_after]
        request.wfile.write(b"%x\r\n%b\r\n" % (len(rest), rest) if self.chunked else rest)
        if self.chunked and len(rest) == len(self.body[first:]):
            request.wfile.write(b"0\r\n\r\n")

    @contextmanager
    def running(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.close_connection = True
                server.answer(self)

            def log_message(self, *_):
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
            thread = threading.Thread(target=http.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield f"http://127.0.0.1:{http.server_port}/set.zip"
            finally:
                http.shutdown()
                thread.join()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "settings",
    [{}, {"etag": None, "modified": "Sat, 01 Aug 2026 10:00:00 GMT"}, {"chunked": True}],
    ids=["etag", "date", "length unknown"],
)
def test_a_broken_download_goes_on_where_it_broke(tmp_path, settings):
    server = Server(**settings)
    with server.running() as url:
        fetch(url, tmp_path / "set.zip", sha256=SHA256, size=len(BODY), **QUICK)
    assert (tmp_path / "set.zip").read_bytes() == BODY
    assert server.asked == [None, "bytes=4000-", "bytes=8000-"]
    assert names(tmp_path) == ["set.zip"]


def test_the_next_call_goes_on_too(tmp_path):
    server = Server()
    with server.running() as url:
        server.before = lambda number: vars(server).update(status=500 if number else None)
        with pytest.raises(
            OSError, match=rf"{url}: the server says 500 .*; 4000 bytes came, wanted 10240"
        ):
            fetch(url, tmp_path / "set.zip", sha256=SHA256, **QUICK)
        assert not (tmp_path / "set.zip").exists()
        server.before, server.status, server.stop_after = lambda number: None, None, None
        fetch(url, tmp_path / "set.zip", sha256=SHA256, **QUICK)
    assert server.asked[-1] == "bytes=4000-"
    assert (tmp_path / "set.zip").read_bytes() == BODY


def test_a_part_of_another_url_is_not_gone_on_from(tmp_path):
    (tmp_path / ".spanloc-set.zip.part").write_bytes(OTHER[:4000])
    note = {"url": "http://elsewhere/set.zip", "version": '"one"', "total": len(BODY)}
    (tmp_path / ".spanloc-set.zip.part.json").write_text(json.dumps(note))
    server = Server(stop_after=None)
    with server.running() as url:
        fetch(url, tmp_path / "set.zip", sha256=SHA256, **QUICK)
    assert server.asked == [None]


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({"ranges": False}, [None, "bytes=4000-"]),
        ({"etag": 'W/"one"'}, [None, None]),
        ({"etag": None}, [None, None]),
        ({"claims": {"Content-Range": "bytes 3000-10239/10240"}}, [None, "bytes=4000-", None]),
    ],
    ids=["no ranges", "weak etag", "no version", "another place"],
)
def test_what_cannot_be_gone_on_from_starts_over(tmp_path, settings, asked):
    server = Server(**settings)
    last = len(asked) - 1
    server.before = lambda number: number == last and vars(server).update(stop_after=None)
    with server.running() as url:
        fetch(url, tmp_path / "set.zip", sha256=SHA256, **QUICK)
    assert server.asked == asked
    assert (tmp_path / "set.zip").read_bytes() == BODY


@pytest.mark.parametrize("if_range", [True, False], ids=["knows If-Range", "ignores If-Range"])
def test_a_file_that_changed_meanwhile_starts_over(tmp_path, if_range):
    server = Server(body=OTHER, if_range=if_range)
    new = {"body": BODY, "etag": '"two"', "stop_after": 9000}
    server.before = lambda number: number == 1 and vars(server).update(new)
    with server.running() as url:
        fetch(url, tmp_path / "set.zip", sha256=None, **QUICK)
    assert (tmp_path / "set.zip").read_bytes() == BODY


def test_a_file_that_changes_at_every_try_is_given_up(tmp_path):
    server = Server(if_range=False)
    server.before = lambda number: vars(server).update(etag=f'"{number}"')
    with (
        server.running() as url,
        pytest.raises(OSError, match="what came is kept for the next call"),
    ):
        fetch(url, tmp_path / "set.zip", sha256=SHA256, **QUICK)
    assert server.asked == [None, "bytes=4000-", None]


def test_a_server_that_always_breaks_at_one_place_is_given_up(tmp_path):
    server = Server(ranges=False)
    with server.running() as url, pytest.raises(OSError, match="broke at 4000 of 10240 bytes"):
        fetch(url, tmp_path / "set.zip", sha256=SHA256, **QUICK)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"sha256": "0" * 64}, f"has the sha256 {SHA256} .10240 bytes.; wanted {'0' * 64}"),
        ({"sha256": SHA256, "size": 7}, "has 10240 bytes; wanted 7"),
    ],
    ids=["sha256", "size"],
)
def test_another_file_than_wanted_is_refused_and_not_kept(tmp_path, wanted, message):
    # A wrong size is seen before the file has come.
    server = Server(stop_after=4000 if "size" in wanted else None)
    with server.running() as url, pytest.raises(ValueError, match=f"{url}: {message}"):
        fetch(url, tmp_path / "set.zip", **wanted, **QUICK)
    assert names(tmp_path) == []
    assert server.asked == [None]


def test_what_another_try_cannot_cure_is_one_error(tmp_path):
    server = Server(status=404)
    with (
        server.running() as url,
        pytest.raises(OSError, match=f"{url}: 404 Not Found; wanted a file"),
    ):
        fetch(url, tmp_path / "set.zip", sha256=None, **QUICK)
    assert len(server.asked) == 1
    with pytest.raises(OSError, match=r"file:///nowhere/at/all: .*No such file"):
        fetch("file:///nowhere/at/all", tmp_path / "a", sha256=None, **QUICK)
    with pytest.raises(ValueError, match="'ftp://x/y': wanted a URL of http, https or file"):
        fetch("ftp://x/y", tmp_path / "a", sha256=None, **QUICK)


def test_a_server_that_is_not_there_is_tried_again_with_growing_waits(tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr(download.time, "sleep", slept.append)
    with Server().running() as url:
        pass
    with pytest.raises(
        OSError, match=r"cannot be reached .*; 0 bytes came, wanted all of the file"
    ):
        fetch(url, tmp_path / "a", sha256=None, say=lambda line: None)
    assert slept == list(download.WAITS) == sorted(slept)


def test_a_file_that_is_there_is_not_fetched_again_unless_it_is_another(tmp_path):
    (tmp_path / "from").write_bytes(BODY)
    url, target, lines = (tmp_path / "from").as_uri(), tmp_path / "deep" / "to", []
    assert fetch(url, target, sha256=None, say=lines.append) == target
    assert lines == [f"{target}: complete; its sha256, not checked, is {SHA256}"]
    (tmp_path / "from").unlink()
    fetch(url, target, sha256=SHA256.upper(), say=lines.append)
    assert lines[1:] == [f"{target}: is there already"]
    (tmp_path / "from").write_bytes(OTHER)
    fetch(url, target, sha256=hashlib.sha256(OTHER).hexdigest(), say=lines.append)
    assert "downloading it again" in lines[2]
    assert target.read_bytes() == OTHER


def test_lines_say_how_far_it_is(tmp_path, monkeypatch):
    seconds = iter(range(0, 1000, 30))
    monkeypatch.setattr(download.time, "monotonic", lambda: next(seconds))
    monkeypatch.setattr(download, "_CHUNK", 5120)
    (tmp_path / "from").write_bytes(bytes(10_240))
    lines = []
    fetch((tmp_path / "from").as_uri(), tmp_path / "to", sha256=None, say=lines.append)
    assert lines[0] == "to: 0.0 of 0.0 MB, 0:00:30 elapsed, about 0:00:30 left"


def test_the_command_needs_no_pytorch(tmp_path):
    (tmp_path / "from").write_bytes(BODY)
    code = "import sys, download; download.main(); assert not {'torch', 'numpy'} & {*sys.modules}"
    arguments = [(tmp_path / "from").as_uri(), str(tmp_path / "to"), "--sha256", SHA256]
    command = [sys.executable, "-c", code, *arguments]
    subprocess.run(command, check=True, cwd=Path(download.__file__).parent)
    assert (tmp_path / "to").read_bytes() == BODY
