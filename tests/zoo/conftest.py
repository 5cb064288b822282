"""A cache of its own for every test here, a web server on this machine, and assets made for the test."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType

import pytest

from pose_utils.zoo import assets, manifest, sources


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    for variable in ("POSE_ASSETS_DIR", "POSE_ASSETS_TRUST", "POSE_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("POSE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(sources, "BACKOFF_SECONDS", 0.0)
    return tmp_path / "cache"


@pytest.fixture
def make_asset(monkeypatch):
    """Returns a function that puts one more asset into the manifest, and nothing else is in it."""
    known = {}

    def make(name="thing.bin", *, content=None, **fields):
        if content is not None:
            fields.setdefault("sha256", (hashlib.sha256(content).hexdigest(),))
        fields = {"sources": (), "description": "", "licence": "none", "url": ""} | fields
        known[name] = manifest.Asset(name=name, **fields)
        return known[name]

    def replaced():
        return MappingProxyType(known)

    monkeypatch.setattr(manifest, "manifest", replaced)
    monkeypatch.setattr(assets, "manifest", replaced)
    return make


class Server:
    """A server whose answers a test writes: `answers[path]` is called with each request's handler."""

    def __init__(self):
        self.answers = {}
        self.requests = []
        self.stalled = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.requests.append((self.path, self.headers.get("Range")))
                outer.answers[self.path](self)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server.server_address[1]}{path}"

    def gives(self, path, content, *, resumable=True):
        self.answers[path] = lambda handler: whole(handler, content, resumable)
        return self.url(path)


def whole(handler, content, resumable=True):
    """Answers with `content`, or with the rest of it where the request names a start."""
    wanted = handler.headers.get("Range")
    start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and resumable else 0
    if start >= len(content) and start:
        handler.send_response(416)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Length", str(len(content) - start))
    handler.end_headers()
    handler.wfile.write(content[start:])


def status(code):
    """Returns an answer with nothing but a status."""

    def answer(handler):
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@pytest.fixture
def server():
    running = Server()
    yield running
    running.stalled.set()
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def answer_status():
    return status


@pytest.fixture
def answer_whole():
    return whole
