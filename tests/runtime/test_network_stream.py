"""A real stream over HTTP, from this machine to itself: it is read live, and its silence has an end."""

import http.server
import json
import threading
import time

import cv2
import numpy as np
import pytest

from pose_utils.runtime import stream
from pose_utils.runtime.inference import Tracking, run_inference
from pose_utils.runtime.media import open_source
from tests.runtime.fakes import FakePipeline


class Camera(http.server.BaseHTTPRequestHandler):
    """Motion JPEG as network cameras send it: `frames` pictures, then silence or the end."""

    frames, stalls = 40, False

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for index in range(self.frames):
                image = np.full((120, 160, 3), 6 * index, np.uint8)
                content = cv2.imencode(".jpg", image)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
                self.wfile.write(head.encode() + content + b"\r\n")
                self.wfile.flush()
                time.sleep(0.02)
            if self.stalls:
                self.server.over.wait(60)
        except OSError:
            pass  # the reader went away

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(**settings):
        handler = type("Handler", (Camera,), settings)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads, server.over = True, threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://anna:secret@127.0.0.1:{server.server_port}/live.mjpg"

    yield start
    for server in servers:
        server.over.set()
        server.shutdown()
        server.server_close()


def run(address, folder):
    summary = run_inference(FakePipeline(), open_source(address), folder, progress=False, tracking=Tracking())
    return summary, (folder / "results.json").read_text()


def test_a_stream_is_read_to_its_end_and_its_password_is_not_written_down(serve, tmp_path):
    summary, text = run(serve(), tmp_path)
    assert 1 <= summary.frames <= summary.live["captured"] <= 40
    assert "secret" not in text and "127.0.0.1" in json.loads(text)["source"]
    assert "gave no more frames" in json.loads(text)["skipped"][0]["reason"]


def test_a_stream_that_falls_silent_ends_with_what_came(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "STALL_SECONDS", 2)
    start = time.monotonic()
    summary, text = run(serve(stalls=True), tmp_path)
    assert summary.frames >= 1 and time.monotonic() - start < 40
    assert json.loads(text)["skipped"]
