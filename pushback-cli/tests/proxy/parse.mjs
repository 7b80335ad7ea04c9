// Reads streams of requests as Node's server does, that is, llhttp.
//
// Standard input: a JSON list of streams in hexadecimal. Standard output: for each, a list of its requests, and the error of
// the parser, if one came: what is left of a request at the end of the stream is one.

import http from "node:http";
import net from "node:net";
import { text } from "node:stream/consumers";

function parse(bytes) {
  return new Promise((resolve) => {
    const requests = [];
    let error = null;
    const server = http.createServer({ maxHeaderSize: 1 << 20, requireHostHeader: true }, (request, response) => {
      const body = [];
      request.on("data", (data) => body.push(data));
      request.on("error", () => {}); // the server says so itself
      request.on("end", () => {
        const { method, url: target, headers } = request;
        requests.push({ method, target, host: headers.host ?? null, body: Buffer.concat(body).toString("latin1") });
        // Node refuses these by itself, but not before it has called this.
        if (headers.host === undefined) error ??= "no Host";
        response.end();
      });
    });
    server.maxHeadersCount = 0; // any number: how many there may be is not the question here
    server.httpAllowHalfOpen = true; // the end of the stream does not break off what was read before
    // What comes behind a wish to upgrade is another request, as after a service that does not agree.
    server.on("upgrade", ({ method, url: target, headers }, socket, rest) => {
      requests.push({ method, target, host: headers.host ?? null, body: "" });
      socket.unshift(rest);
      server.emit("connection", socket);
    });
    server.on("clientError", (problem, socket) => {
      error ??= problem.code ?? String(problem);
      socket.destroy();
    });
    server.listen(0, "127.0.0.1", () => {
      const socket = net.connect(server.address().port, "127.0.0.1", () => socket.end(bytes));
      socket.resume();
      socket.on("error", () => {}); // a reset after an error that is known already
      socket.on("close", () => server.close(() => resolve({ requests, error })));
    });
  });
}

const streams = JSON.parse(await text(process.stdin));
const parsed = await Promise.all(streams.map((stream) => parse(Buffer.from(stream, "hex"))));
console.log(JSON.stringify(parsed));
