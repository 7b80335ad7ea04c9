"""An application for gunicorn. WSGI has no way to tell it that its client has gone."""

import time

from work import SECONDS, work


def application(environment, start_response):
    with work():
        time.sleep(SECONDS)
    start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]
