"""A service as a process, and what it says of its work."""

import os
import queue
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import connections

HERE = Path(__file__).parent
# How often one looks at most whether a thing is there that must come, and the time between.
TRIES, PAUSE = 1000, 0.01
# How long it may take for its end.
ENDING = 5


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def until(condition, what):
    for _ in range(TRIES):
        if found := condition():
            return found
        time.sleep(PAUSE)
    raise TimeoutError(f"never: {what}")


class Service:
    """Ends with its block."""

    def __init__(self, command):
        self.port = free_port()
        self.command = [argument.replace("PORT", str(self.port)) for argument in command]
        self.words = queue.Queue()

    def __enter__(self):
        # A group of its own, for some have workers, which must end too.
        self.process = subprocess.Popen(
            self.command, cwd=HERE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            threading.Thread(target=self.hear, daemon=True).start()
            until(self.listens, f"{self.command} listens")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.end(signal.SIGTERM)
        # And whoever has not listened to that, or was left behind.
        self.end(signal.SIGKILL)

    def end(self, how):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self.process.pid, how)
            self.process.wait(ENDING)

    def listens(self):
        assert self.process.poll() is None, f"{self.command} has ended"
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        except OSError:
            return False

    def hear(self):
        for line in self.process.stdout:
            self.words.put((time.monotonic(), line.strip()))

    def word(self, patience):
        """The next word and its time, or nothing."""
        try:
            return self.words.get(timeout=patience)
        except queue.Empty:
            return None, None

    def forget(self):
        """What was before, is over."""
        until(lambda: connections.other_end(self.port) is None, "the connection before is closed")
        while self.word(0)[1]:
            pass

    def connection(self):
        return until(lambda: connections.other_end(self.port), "a connection")

    def holds(self, connection):
        return connections.is_held(connection, self.process.pid)
