"""Downloads a file that may be large over a connection that may break, and checks it.

    python scripts/download.py URL TARGET [--sha256 DIGEST] [--size BYTES]

What has come stays beside the target, and the next try, or the next call, goes on from there.
The standard library alone: a data set can be fetched before PyTorch is imported.
"""

import argparse
import hashlib
import http.client
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from spanloc.files import read_json, replacing, write_json

#: Seconds before the tries that follow one that brought nothing new.
WAITS = (1.0, 5.0, 20.0, 60.0)
_CHUNK = 2**18
# What another try may cure, beside errors of the server itself.
_PASSING = (408, 425, 429)

Say = Callable[[str], object]


def print_now(line: str) -> None:
    """Print a line that shows at once, in a pipe too."""
    print(line, flush=True)


class _BrokenError(Exception):
    """A try ended before the file did."""


class _Origin(NamedTuple):
    """The file of a part."""

    url: str
    version: str | None
    total: int | None


def fetch(
    url: str,
    target: str | Path,
    *,
    sha256: str | None,
    size: int | None = None,
    waits: Sequence[float] = WAITS,
    every: float = 10.0,
    say: Say = print_now,
) -> Path:
    """Download a file, unless it is there already, and check it.

    A broken download goes on where it broke if the server takes ranges and says a version of the
    file (a strong ETag, or the date of its last change) that is still the same; else it starts over.

    Args:
        url: ``http``, ``https`` or ``file``.
        target: Gets the file by an atomic rename, once it is whole and right.
        sha256: Of the file, in hexadecimal. None: not known; then that of what came is printed.
        size: Of the file in bytes, where it is known.
        waits: Seconds before each further try after one that brought nothing new.
        every: Seconds between lines on how far it is.
        say: Prints a line.

    Returns:
        ``target``.

    Raises:
        ValueError: What came is not what is wanted, or the URL is of another kind.
        OSError: The server has no such file, or cannot be reached, or the disk is full.
    """
    target = Path(target)
    if urlsplit(url).scheme not in ("http", "https", "file"):
        raise ValueError(f"{url!r}: wanted a URL of http, https or file")
    if target.is_file():
        digest, problem = _checked(target, sha256, size)
        if problem is None:
            say(f"{target}: is there already{'' if sha256 else f'; its sha256 is {digest}'}")
            return target
        say(f"{target}: {problem}; downloading it again")
    download = _Download(url, target, size, every, say)
    download.run(waits)
    digest, problem = _checked(download.part, sha256, size)
    if problem is not None:
        download.discard()
        raise ValueError(f"{url}: {problem}")
    with replacing(target) as temporary:
        os.replace(download.part, temporary)
    download.discard()
    say(f"{target}: complete{'' if sha256 else f'; its sha256, not checked, is {digest}'}")
    return target


def _checked(file: Path, sha256: str | None, size: int | None) -> tuple[str, str | None]:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    came = file.stat().st_size
    if size is not None and came != size:
        return digest, f"has {came} bytes; wanted {size}"
    if sha256 is not None and digest != sha256.lower():
        return digest, f"has the sha256 {digest} ({came} bytes); wanted {sha256.lower()}"
    return digest, None


class _Download:
    def __init__(self, url: str, target: Path, size: int | None, every: float, say: Say) -> None:
        self.url, self.target, self.size, self.every, self.say = url, target, size, every, say
        # By these names another call finds them.
        self.part = target.with_name(f".spanloc-{target.name}.part")
        self.note = target.with_name(f".spanloc-{target.name}.part.json")

    def run(self, waits: Sequence[float]) -> None:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        left, most = list(waits), self._have()
        while broken := self._attempt():
            have = self._have()
            if have > most:
                # It gets somewhere. A server without ranges that always breaks does not.
                left, most = list(waits), have
            if not left:
                raise OSError(
                    f"{self.url}: {broken}; {have} bytes came, wanted {self._wanted()}; what came "
                    "is kept for the next call"
                )
            wait = left.pop(0)
            self.say(f"{self.target.name}: {broken}; trying again in {wait:g} s")
            time.sleep(wait)

    def _attempt(self) -> str | None:
        try:
            self._try()
        except _BrokenError as error:
            return str(error)
        return None

    def discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _wanted(self) -> str:
        total = self.size if self.size is not None else getattr(self._origin(), "total", None)
        return "all of the file" if total is None else f"{total}"

    def _origin(self) -> _Origin | None:
        try:
            return _Origin(**read_json(self.note))
        except (OSError, ValueError, TypeError):
            return None

    def _try(self) -> None:
        have, origin = self._have(), self._origin()
        if origin is not None and have and have == origin.total and origin.url == self.url:
            return
        usable = origin is not None and origin.url == self.url and origin.version is not None
        version = origin.version if usable and have else None
        with self._open(have, version) as response:
            if version is None or not _continues(response, have, origin):
                if response.status == 206:
                    self.discard()
                    raise _BrokenError("the server went on from another place, or in another file")
                if version is not None:
                    self.say(f"{self.target.name}: cannot go on from {have} bytes; starting over")
                have, origin = 0, _Origin(self.url, _version(response), _length(response))
                self._require_size(origin.total)
                self.discard()
                write_json(self.note, origin)
            try:
                self._receive(response, have, origin.total)
            except OSError as error:
                error.filename = error.filename or str(self.part)
                raise

    def _open(self, have: int, version: str | None) -> Any:
        headers = {"User-Agent": "spanloc", "Accept-Encoding": "identity"}
        if version is not None:
            headers |= {"Range": f"bytes={have}-", "If-Range": version}
        try:
            request = urllib.request.Request(self.url, headers=headers)
            return urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:
                self.discard()
            elif error.code < 500 and error.code not in _PASSING:
                raise OSError(f"{self.url}: {error.code} {error.reason}; wanted a file") from None
            raise _BrokenError(f"the server says {error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            if urlsplit(self.url).scheme == "file" or isinstance(reason, ssl.SSLError):
                raise OSError(f"{self.url}: {reason}") from None
            raise _BrokenError(f"cannot be reached ({reason})") from None

    def _require_size(self, total: int | None) -> None:
        if self.size is not None and total is not None and total != self.size:
            raise ValueError(f"{self.url}: has {total} bytes; wanted {self.size}")

    def _receive(self, response: Any, have: int, total: int | None) -> None:
        begin = last = time.monotonic()
        first = have
        with self.part.open("ab") as file:
            while True:
                try:
                    chunk = response.read1(_CHUNK)
                except (OSError, http.client.HTTPException) as error:
                    raise _BrokenError(f"the connection broke ({error!r:.100})") from None
                if not chunk:
                    break
                file.write(chunk)
                have += len(chunk)
                now = time.monotonic()
                if now - last >= self.every:
                    last = now
                    self.say(f"{self.target.name}: {_progress(first, have, total, now - begin)}")
        if total is not None and have < total:
            raise _BrokenError(f"the connection broke at {have} of {total} bytes")


def _continues(response: Any, have: int, origin: _Origin) -> bool:
    place = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if response.status != 206 or place is None:
        return False
    same_total = origin.total is None or place[2] in ("*", str(origin.total))
    return int(place[1]) == have and same_total and _version(response) in (None, origin.version)


def _version(response: Any) -> str | None:
    tag = response.headers.get("ETag")
    # A weak one may stay the same where bytes differ.
    strong = tag if tag and not tag.startswith("W/") else None
    return strong or response.headers.get("Last-Modified")


def _length(response: Any) -> int | None:
    text = response.headers.get("Content-Length") or ""
    return int(text) if text.isdecimal() else None


def _progress(first: int, have: int, total: int | None, seconds: float) -> str:
    elapsed = timedelta(seconds=round(seconds))
    if total is None:
        return f"{have / 1e6:.1f} MB, {elapsed} elapsed"
    left = timedelta(seconds=round(seconds / (have - first) * (total - have)))
    return f"{have / 1e6:.1f} of {total / 1e6:.1f} MB, {elapsed} elapsed, about {left} left"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("target", type=Path)
    parser.add_argument("--sha256", help="of the file; without it what came is not checked")
    parser.add_argument("--size", type=int, help="of the file in bytes")
    options = parser.parse_args()
    try:
        fetch(options.url, options.target, sha256=options.sha256, size=options.size)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
