"""A gRPC client of another making: asks the health service once, or many times at once by a retry policy.

Arguments: the server's address, and `once` or `rush`. Prints the status, the seconds it took, and the server's pushback; or how many
calls were served, and the seconds they all took.
"""

import concurrent.futures
import json
import sys
import time

import grpc

POLICY = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                # Much less than the server asks for: who comes back sooner has not honoured it.
                "initialBackoff": "0.01s",
                "maxBackoff": "0.02s",
                "backoffMultiplier": 1,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


RUSH = 30


def main():
    address, how = sys.argv[1:]
    config = POLICY if how == "rush" else {}
    options = [("grpc.service_config", json.dumps(config)), ("grpc.enable_retries", int(how == "rush"))]
    with grpc.insecure_channel(address, options=options) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        grpc.channel_ready_future(channel).result(timeout=30)
        if how == "rush":
            rush(check)
        else:
            call, took = ask(check)
            pushback = dict(call.trailing_metadata() or ()).get("grpc-retry-pushback-ms", "none")
            print(call.code().name, f"{took:.3f}", pushback)


def rush(check):
    ask(check)  # so that the server knows how long a call takes
    with concurrent.futures.ThreadPoolExecutor(RUSH) as threads:
        began = time.monotonic()
        calls = list(threads.map(lambda _: ask(check)[0], range(RUSH)))
        took = time.monotonic() - began
    served = sum(call.code() == grpc.StatusCode.OK for call in calls)
    print(served, f"{took:.3f}")


def ask(check):
    began = time.monotonic()
    try:
        _, call = check.with_call(b"", timeout=30)
    except grpc.RpcError as error:
        call = error
    return call, time.monotonic() - began


main()
