"""The fax API that the bridge knows, in front of a fax line: POST /send makes a job of HylaFAX, GET /status asks for it."""

import email
import email.policy
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

from benchmarks.line.hylafax import Hylafax

TOKEN = "line"
_WORDS = {"DONE": "Success", "FAILED": "Failed", "ACTIVE": "Sending"}


class FaxApi:
    """The API on a free port of 127.0.0.1, within its `with`."""

    def __init__(self, port: int, *, lines: int) -> None:
        handler = type("Handler", (_Handler,), {"hfaxd": port, "lines": lines})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/fax"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hfaxd = lines = 0

    def do_POST(self):
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        form = email.message_from_bytes(head + self._body(), policy=email.policy.HTTP)
        fields = {
            part.get_param("name", header="content-disposition"): part.get_content() for part in form.iter_parts()
        }
        with Hylafax(self.hfaxd) as server:
            job = server.submit(fields["number"].strip(), fields["file"], lines=self.lines)
        self._say({"uuid": f"line-{job}", "status": "Loading"})

    def do_GET(self):
        uuid = parse_qs(urlsplit(self.path).query)["uuid"][0]
        with Hylafax(self.hfaxd) as server:
            state = server.job(uuid.removeprefix("line-")).state
        self._say({"status": _WORDS.get(state, "Pending")})

    def _body(self) -> bytes:
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _say(self, words):
        body = json.dumps(words).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
