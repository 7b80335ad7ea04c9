// A service over HTTP/2 without TLS that answers as gRPC services do: a message, and how it went in the trailers.

import http2 from "node:http2";

const server = http2.createServer();
server.on("stream", (stream, headers) => {
  let length = 0;
  stream.on("data", (part) => (length += part.length));
  stream.on("end", () => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "te-was": headers.te ?? "none" }));
    stream.end(`${headers[":method"]} ${headers[":path"]} ${length}`);
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().on("end", () => process.exit());
