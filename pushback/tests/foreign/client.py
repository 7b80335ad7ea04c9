"""A gRPC client of another making: asks the health service once, by a retry policy if it is told so.

Arguments: the server's address, and `once` or `retry`. Prints the status, the seconds it took, and the server's pushback.
"""

import json
import sys
import time

import grpc

POLICY = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 3,
                # Much less than the server asks for: who comes back sooner has not honoured it.
                "initialBackoff": "0.01s",
                "maxBackoff": "0.02s",
                "backoffMultiplier": 1,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


def main():
    address, how = sys.argv[1:]
    config = POLICY if how == "retry" else {}
    options = [("grpc.service_config", json.dumps(config)), ("grpc.enable_retries", int(how == "retry"))]
    with grpc.insecure_channel(address, options=options) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        grpc.channel_ready_future(channel).result(timeout=30)
        began = time.monotonic()
        try:
            _, call = check.with_call(b"", timeout=30)
        except grpc.RpcError as error:
            call = error
        took = time.monotonic() - began
        pushback = dict(call.trailing_metadata() or ()).get("grpc-retry-pushback-ms", "none")
        print(call.code().name, f"{took:.3f}", pushback)


main()
