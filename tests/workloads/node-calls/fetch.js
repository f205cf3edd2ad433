// Node's own http and its own fetch.
const http = require("http");
const makeJobs = require("./jobs");

const jobs = makeJobs(async (path, options = {}) => {
  const signal = options.timeout && AbortSignal.timeout(options.timeout);
  const answer = await fetch(process.env.UPSTREAM + path, { signal });
  await answer.text();
  return answer.status;
});

const server = http.createServer(async (request, response) => {
  const [, verb, id] = request.url.split("/");
  await jobs[verb](id);
  response.writeHead(200, { "content-type": "text/plain" }).end("done\n");
});

module.exports = (port, ready) => server.listen(port, "127.0.0.1", ready);
