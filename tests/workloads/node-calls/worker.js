// A worker thread: paths come in as messages, statuses go back.
const { parentPort } = require("worker_threads");
const http = require("http");

const agent = new http.Agent({ keepAlive: true });

parentPort.on("message", ({ number, path, timeout }) => {
  const request = http.get(process.env.UPSTREAM + path, { agent, timeout }, (answer) => {
    answer.resume();
    answer.on("end", () => parentPort.postMessage({ number, status: answer.statusCode }));
  });
  request.on("timeout", () => request.destroy(new Error("timed out")));
  request.on("error", (error) => parentPort.postMessage({ number, error: error.message }));
});
