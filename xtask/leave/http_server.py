"""Python's own HTTP server, a thread for each connection. Its argument is the port."""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from work import SECONDS, work


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with work():
            time.sleep(SECONDS)
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"done")

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        # It answers a client that has gone, and fails: that is no news here.
        pass


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
