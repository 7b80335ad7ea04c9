"""Asks real services for a piece of work, leaves, and looks when the work ends and when the connection is closed.

Prints a table in Markdown. Needs Linux, for it looks into /proc.
"""

import os
import signal
import sys
import time
from importlib.metadata import version
from subprocess import run

from clients import Grpc, Http
from service import Service

PYTHON = sys.executable
GUNICORN = [PYTHON, "-m", "gunicorn", "--log-level", "warning", "--workers", "1", "--no-control-socket"]
UVICORN = [PYTHON, "-m", "uvicorn", "--log-level", "warning", "--lifespan", "off", "--http", "h11", "--loop", "asyncio"]
SERVICES = {
    "Python's http.server": [PYTHON, "http_server.py", "PORT"],
    "gunicorn, sync": [*GUNICORN, "--bind", "127.0.0.1:PORT", "wsgi:application"],
    "gunicorn, gthread": [*GUNICORN, "--threads", "4", "--bind", "127.0.0.1:PORT", "wsgi:application"],
    "uvicorn": [*UVICORN, "--port", "PORT", "asgi:plain"],
    "uvicorn, listening to `http.disconnect`": [*UVICORN, "--port", "PORT", "asgi:listening"],
    "Node's http": ["node", "node.js", "PORT", "plain"],
    "Node's http, listening to `close`": ["node", "node.js", "PORT", "listening"],
    "grpcio, sync": [PYTHON, "grpc_sync.py", "PORT"],
}
WAYS = ["close", "reset", "half-close"]
RUNS = 3
# How long a client waits before it leaves.
STAYS = 0.05
# How long one waits at most for what should come.
PATIENCE = 5
# How long a connection is watched behind the end of the work.
WATCHES = 1
# How often one looks.
STEP = 0.005


def measure(service, client_of, way):
    """How the work ended and when, when the connection was closed, and whether there was an answer; times since leaving."""
    service.forget()
    client = client_of(service.port)
    began, word = service.word(PATIENCE)
    assert word == "begins", f"the service said {word!r}"
    connection = service.connection()
    time.sleep(max(0, began + STAYS - time.monotonic()))
    left = time.monotonic()
    client.leave(way)
    how, ended, closed = "works on for more than", PATIENCE, None
    is_over = False
    end = left + PATIENCE
    while time.monotonic() < end and not (is_over and closed):
        at, word = service.word(STEP)
        if word:
            how = "works on for" if word == "done" else "stops after"
            is_over, ended = True, at - left
            end = min(end, at + WATCHES)
        if closed is None and not service.holds(connection):
            closed = time.monotonic() - left
        client.read()
    client.end()
    return how, ended, closed, client.answer()


def span(times):
    least, most = f"{min(times):.2f}", f"{max(times):.2f}"
    return f"{least} s" if least == most else f"{least} to {most} s"


def cell(runs, way):
    hows = sorted({how for how, *_ in runs})
    parts = [" or ".join(f"{how} {span([run[1] for run in runs if run[0] == how])}" for how in hows)]
    closed = [closed for _, _, closed, _ in runs if closed is not None]
    if closed:
        parts.append(f"connection closed after {span(closed)}")
    if len(closed) < len(runs):
        parts.append("connection stays open")
    if way == "half-close":
        parts.append(" or ".join(sorted({answer for *_, answer in runs})))
    return "; ".join(parts)


def row(name, command):
    # A gRPC client cancels, which resets its stream and leaves the connection alone.
    is_grpc = name.startswith("grpcio")
    client_of = Grpc if is_grpc else Http
    cells = dict.fromkeys(WAYS, "–")
    with Service(command) as service:
        for way in ["cancel"] if is_grpc else WAYS:
            said = cell([measure(service, client_of, way) for _ in range(RUNS)], way)
            print(f"{name}, {way}: {said}", file=sys.stderr, flush=True)
            if is_grpc:
                cells["reset"] = f"{way}: {said}"
            else:
                cells[way] = said
    return f"| {name} | {' | '.join(cells.values())} |"


def main():
    # So that its services end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    python = ", ".join(f"{name} {version(name)}" for name in ["gunicorn", "uvicorn", "h11", "grpcio"])
    node = run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    linux = os.uname().release.split("-")[0]
    rows = [row(name, command) for name, command in SERVICES.items()]
    print(f"Python {sys.version.split()[0]}, {python}, Node {node.lstrip('v')}, Linux {linux}")
    print(f"Work of 1 s, whose client leaves {STAYS} s after its begin or a little later; the times begin there, {RUNS} runs\n")
    print(f"| service | {' | '.join(WAYS)} |\n|---|---|---|---|")
    print("\n".join(rows))


main()
