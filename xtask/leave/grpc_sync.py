"""A gRPC service by grpcio, with threads. Its argument is the port."""

import sys
import time
from concurrent import futures

import grpc
from work import SECONDS, work


def do(message, context):
    with work():
        time.sleep(SECONDS)
    return b"done"


methods = {"Do": grpc.unary_unary_rpc_method_handler(do)}
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("leave.Work", methods)])
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
