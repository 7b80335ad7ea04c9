"""Connections on this machine, as the kernel tells of them."""

import os
from pathlib import Path

ESTABLISHED = "01"


def rows():
    """Established connections: both ports, and the number of the one end, which is 0 before it is accepted."""
    # grpcio listens to both, whatever it is told.
    for table in ["/proc/net/tcp", "/proc/net/tcp6"]:
        for line in Path(table).read_text().splitlines()[1:]:
            _, here, there, state, *_, number = line.split()[:10]
            if state == ESTABLISHED:
                yield port(here), port(there), number


def port(address):
    return int(address.rsplit(":", 1)[1], 16)


def other_end(service_port):
    """The number of the service's end of the connection that this process has to it; nothing before it is accepted."""
    mine = set(numbers("self"))
    found = list(rows())
    clients = {here for here, there, number in found if there == service_port and number in mine}
    # Others may ask at this port too, by mistake.
    ends = [number for here, there, number in found if here == service_port and there in clients and number != "0"]
    assert len(ends) < 2, f"{len(ends)} connections to {service_port}"
    return ends[0] if ends else None


def is_held(number, group):
    """Whether a process of this group has that end open. Another table would not do: a reset one is in none."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) == group and number in numbers(process.name):
                return True
        except ProcessLookupError:
            pass  # it has ended
    return False


def numbers(process):
    """Those of all sockets that it has open."""
    try:
        files = list(Path(f"/proc/{process}/fd").iterdir())
    except OSError:
        return
    for file in files:
        try:
            name = os.readlink(file)
        except OSError:
            continue  # it is closed
        if name.startswith("socket:["):
            yield name[len("socket:[") : -1]
