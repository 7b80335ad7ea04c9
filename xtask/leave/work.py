"""The work of all services in Python: one piece of a second. Each word about it is a line, which leave.py reads."""

import os
from contextlib import contextmanager

SECONDS = 1


def say(word):
    # Past Python's buffers, for the time of a line is the time of what it says.
    os.write(1, f"{word}\n".encode())


@contextmanager
def work():
    say("begins")
    try:
        yield
    except BaseException:
        # So asyncio ends a task that is cancelled.
        say("stops")
        raise
    say("done")
