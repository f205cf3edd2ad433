// Calls are made by worker threads, two of them in turn.
const http = require("http");
const { Worker } = require("worker_threads");
const makeJobs = require("./jobs");

const asked = new Map();
const workers = [1, 2].map(() => {
  const worker = new Worker(require.resolve("./worker"));
  worker.on("message", ({ number, status, error }) => {
    const { resolve, reject } = asked.get(number);
    asked.delete(number);
    if (error) reject(new Error(error));
    else resolve(status);
  });
  return worker;
});

let next = 0;
const jobs = makeJobs(
  (path, options = {}) =>
    new Promise((resolve, reject) => {
      const number = next++;
      asked.set(number, { resolve, reject });
      workers[number % workers.length].postMessage({ number, path, ...options });
    }),
);

const server = http.createServer(async (request, response) => {
  const [, verb, id] = request.url.split("/");
  await jobs[verb](id);
  response.writeHead(200, { "content-type": "text/plain" }).end("done\n");
});

module.exports = (port, ready) => server.listen(port, "127.0.0.1", ready);
