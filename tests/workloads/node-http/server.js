const http = require("http");

const port = Number(process.env.PORT || 3000);
const upstream = process.env.UPSTREAM;

function send(response, status, body) {
  response.writeHead(status, { "content-type": "text/plain" });
  response.end(body);
}

function call(search, response) {
  http
    .get(`${upstream}/${search}`, (answer) => {
      answer.resume();
      answer.on("end", () => send(response, answer.statusCode, "called\n"));
    })
    .on("error", (error) => send(response, 502, `${error.message}\n`));
}

function echo(request, response) {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => send(response, 200, Buffer.concat(parts)));
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  const [, verb, value] = url.pathname.split("/");
  if (verb === "") send(response, 200, "hello\n");
  else if (verb === "status") send(response, Number(value), `status ${value}\n`);
  else if (verb === "slow") setTimeout(() => send(response, 200, "late\n"), Number(value));
  else if (verb === "call" && upstream) call(url.search, response);
  else if (verb === "echo" && request.method === "POST") echo(request, response);
  else send(response, 404, "no such path\n");
});

server.listen(port, "127.0.0.1", () => console.log(`catalog listening on ${port}`));
