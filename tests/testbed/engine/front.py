"""Speaks HTTP for an engine that has no ports: front.py PACKAGES CONFIGURATION DATA PORT, the hash of the only password in PASSWORD_SHA256."""

import hashlib
import http.server
import os
import sys
import threading

import parent

parent.end_with_parent()
packages, configuration, data, port = sys.argv[1:]
sys.path.insert(0, f"{packages}/chdb")
import _chdb  # noqa: E402

connection = _chdb.connect(f"file:{data}?config-file={configuration}")
one_at_a_time = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, b"Ok.\n")

    def do_POST(self):
        statement = self.rfile.read(int(self.headers["Content-Length"])).decode()
        key = hashlib.sha256(self.headers.get("X-ClickHouse-Key", "").encode()).hexdigest()
        if key != os.environ.get("PASSWORD_SHA256", key):
            return self.answer(403, b"Code: 516. Authentication failed")
        with one_at_a_time:
            result = connection.query(statement, "TabSeparated")
        if result.has_error():
            return self.answer(500, result.error_message().encode())
        return self.answer(200, result.bytes() if result.size() else b"")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
