"""A gRPC service and its client by grpcio: `serve` prints its port and ends with its standard input, `call ADDRESS` prints what it hears."""

import queue
import sys
from concurrent import futures

import grpc


class Cart(grpc.GenericRpcHandler):
    def service(self, details):
        method = details.method.rsplit("/", 1)[-1]
        if method == "Say":
            return grpc.unary_unary_rpc_method_handler(lambda message, context: message.upper())
        if method == "Fail":
            return grpc.unary_unary_rpc_method_handler(
                lambda message, context: context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
            )
        return grpc.stream_stream_rpc_method_handler(lambda messages, context: (message.upper() for message in messages))


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((Cart(),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(None)


def call(address):
    with grpc.insecure_channel(address) as channel:
        for method in ["Say", "Fail"]:
            try:
                print(channel.unary_unary(f"/shop.Cart/{method}")(b"hello", timeout=20).decode())
            except grpc.RpcError as error:
                print(error.code().name, error.details())
        messages = queue.Queue()
        answers = channel.stream_stream("/shop.Cart/Talk")(iter(messages.get, None), timeout=20)
        heard = 0
        try:
            # Each message waits for the answer to the one before: nothing on the way may hold one back.
            for number in range(100):
                messages.put(f"message {number}".encode())
                heard += next(answers) == f"MESSAGE {number}".encode()
            messages.put(None)
            heard += len(list(answers))
            print(heard, answers.code().name)
        except grpc.RpcError as error:
            messages.put(None)
            print(heard, error.code().name)


serve() if sys.argv[1] == "serve" else call(sys.argv[2])
