"""Reads streams of requests as Python's http.server does; bodies by RFC 9112, without any leniency.

Standard input: a JSON list of streams in hexadecimal. Standard output: for each, a list of its requests, and the error of
the parser, if one came: what is left of a request at the end of the stream is one.
"""

import http.client
import http.server
import io
import json
import re
import sys

# How many there may be is not the question here.
http.client._MAXHEADERS = 1000


class Wrong(Exception):
    pass


class Parser(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, stream):
        # The base's would serve a socket at once.
        self.rfile = io.BytesIO(stream)
        self.wfile = io.BytesIO()

    def send_error(self, code, message=None, explain=None):
        raise Wrong(f"{code} {message}")

    def handle_expect_100(self):
        return True

    def line(self):
        line = self.rfile.readline()
        if not line.endswith(b"\r\n"):
            raise Wrong(f"a line ends in {line[-2:]!r}")
        return line[:-2]

    def exactly(self, count):
        data = self.rfile.read(count)
        if len(data) != count:
            raise Wrong("the stream ends in a body")
        return data

    def chunks(self):
        while True:
            size = self.line()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", size):
                raise Wrong(f"a chunk's size is {size!r}")
            if int(size, 16) == 0:
                break
            yield self.exactly(int(size, 16))
            if self.line():
                raise Wrong("a chunk is longer than its size")
        while trailer := self.line():
            if b":" not in trailer:
                raise Wrong(f"a trailer is {trailer!r}")

    def body(self):
        codings = self.headers.get_all("Transfer-Encoding", [])
        lengths = self.headers.get_all("Content-Length", [])
        if len(codings) + len(lengths) > 1:
            raise Wrong("the body has more than one length")
        if codings:
            if codings[0].lower() != "chunked":
                raise Wrong(f"the coding is {codings[0]!r}")
            return b"".join(self.chunks())
        if lengths:
            if not re.fullmatch(r"[0-9]+", lengths[0]):
                raise Wrong(f"the length is {lengths[0]!r}")
            return self.exactly(int(lengths[0]))
        return b""

    def next(self):
        """The next request, or None at the end of the stream."""
        self.raw_requestline = self.rfile.readline()
        if not self.raw_requestline:
            return None
        if not self.parse_request():
            raise Wrong("the request has no line")
        if self.headers.defects:
            raise Wrong(str(self.headers.defects))
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1:
            raise Wrong(f"the hosts are {hosts}")
        # Not self.path, which has been made safe already.
        words = self.requestline.split(" ")
        if len(words) != 3 or "" in words:
            raise Wrong(f"the line is {self.requestline!r}")
        method, target, _ = words
        body = self.body().decode("latin1")
        return {"method": method, "target": target, "host": hosts[0], "body": body}


def parse(stream):
    requests, parser = [], Parser(stream)
    try:
        while request := parser.next():
            requests.append(request)
    except Wrong as error:
        return {"requests": requests, "error": str(error)}
    return {"requests": requests, "error": None}


json.dump([parse(bytes.fromhex(stream)) for stream in json.load(sys.stdin)], sys.stdout)
