"""Clients that ask for the work, and know how to leave."""

import socket
import struct

import grpc


class Http:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(b"GET / HTTP/1.1\r\nHost: service\r\n\r\n")
        self.socket.setblocking(False)
        self.heard = b""

    def leave(self, way):
        if way == "half-close":
            self.socket.shutdown(socket.SHUT_WR)
            return
        if way == "reset":
            # To linger for no time is to reset.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def read(self):
        """What is there; nothing, when it is closed."""
        try:
            self.heard += self.socket.recv(65536)
        except OSError:
            pass

    def answer(self):
        if not self.heard:
            return "no answer"
        is_whole = self.heard.startswith(b"HTTP/1.1 200 ") and self.heard.endswith(b"\r\n\r\ndone")
        return "answered" if is_whole else "part of an answer"

    def end(self):
        self.socket.close()


class Grpc:
    def __init__(self, port):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.call = self.channel.unary_unary("/leave.Work/Do").future(b"")

    def leave(self, way):
        assert way == "cancel"
        self.call.cancel()

    def read(self):
        pass

    def answer(self):
        return "no answer"

    def end(self):
        self.channel.close()
