"""A service as people have them: Python's standard library, a thread for each connection, work that sleeps."""

import http.server
import socketserver
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit

lock = threading.Lock()
running = 0
most = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        global running, most
        target = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(target.query).items()}
        if target.path == "/echo-upgrade":
            time.sleep(float(asked.get("ms", 0)) / 1000)
            return self.upgrade()
        if target.path == "/running":
            return self.answer(f"{running}")
        length = self.upload()
        if length is None:
            self.close_connection = True
            return None
        is_late = target.path == "/late-body"
        if is_late:
            # Its head at once, and its body when the work is done.
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.send_header("Content-Type", asked.get("type", "text/plain"))
            self.end_headers()
        with lock:
            running += 1
            most = max(most, running)
        # Uninterrupted, whether or not anybody still waits: that is what such services do.
        time.sleep(float(asked.get("ms", 0)) / 1000)
        with lock:
            running -= 1
        if is_late:
            self.wfile.write(b"done")
        elif target.path == "/echo":
            self.answer(self.body)
        elif target.path == "/headers":
            self.answer("".join(f"{name}: {value}\n" for name, value in self.headers.items()).lower())
        elif target.path == "/most":
            self.answer(f"{most}")
        elif target.path == "/unavailable":
            self.answer("too much for it", 503)
        elif target.path == "/close":
            self.close_connection = True
        elif target.path == "/garbage":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            self.close_connection = True
        elif target.path == "/half":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            self.close_connection = True
        elif target.path == "/big":
            self.send_response(200)
            self.send_header("Content-Length", asked["bytes"])
            self.end_headers()
            part = b"x" * 65536
            for start in range(0, int(asked["bytes"]), len(part)):
                self.wfile.write(part[: int(asked["bytes"]) - start])
        else:
            self.answer(f"{self.command} {self.path} {length}")

    do_POST = do_PUT = do_DELETE = do_GET

    def upload(self):
        """Reads the body, and keeps it for those who want it back; gives its length, or nothing if its sender has left."""
        keeps = urlsplit(self.path).path == "/echo"
        self.body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            total = 0
            while size := int(self.rfile.readline(), 16):
                part = self.rfile.read(size)
                total += len(part)
                self.body += part if keeps else b""
                self.rfile.readline()
            # Trailers, and the empty line behind them.
            while self.rfile.readline().strip():
                pass
            return total
        left = total = int(self.headers.get("Content-Length") or 0)
        while left:
            part = self.rfile.read(min(left, 65536))
            if not part:
                return None
            left -= len(part)
            self.body += part if keeps else b""
        return total

    def upgrade(self):
        global running
        head = f"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: {self.headers['Upgrade']}\r\n\r\n"
        self.wfile.write(head.encode())
        with lock:
            running += 1
        while data := self.connection.recv(1024):
            self.connection.sendall(data.upper())
        with lock:
            running -= 1
        self.close_connection = True

    def answer(self, text, status=200):
        body = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 1024


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
server.serve_forever()
