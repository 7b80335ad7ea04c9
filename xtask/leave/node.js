// Node's own HTTP server. Its arguments are the port, and `plain` or `listening`: that one hears 'close' and stops its work.
const http = require("http");
const fs = require("fs");

const [port, how] = process.argv.slice(2);
const MILLISECONDS = 1000;

// Synchronously, for the time of a line is the time of what it says.
const say = (word) => fs.writeSync(1, `${word}\n`);

const server = http.createServer((request, response) => {
  say("begins");
  const work = setTimeout(() => {
    say("done");
    response.writeHead(200, { "Content-Length": 4 });
    response.end("done");
  }, MILLISECONDS);
  if (how === "listening") {
    response.on("close", () => {
      // This comes behind an answer too.
      if (!response.writableFinished) {
        clearTimeout(work);
        say("stops");
      }
    });
  }
});
server.listen(Number(port), "127.0.0.1");
