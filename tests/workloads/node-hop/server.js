const http = require("http");
const { promisify } = require("util");

const { PORT, STYLE, UPSTREAM } = process.env;
const agent = new http.Agent({ keepAlive: true });

function ask(path, done) {
  const request = http.get(UPSTREAM + path, { agent }, (answer) => {
    answer.resume().on("end", () => done(null, answer.statusCode));
  });
  request.on("error", done);
}

// Asks `UPSTREAM` for what this service was asked for by itself; with callbacks only when it knows the
// prices.
function onward(path, done) {
  const leaf = path.replace("/hop/", "/leaf/");
  if (STYLE !== "callbacks") ask(leaf, done);
  else ask("/leaf/prices/0", (error) => (error ? done(error) : ask(leaf, done)));
}

const way = require(STYLE.startsWith("grpc") ? "./grpc" : "./h2");
const serve = STYLE === "compat" ? way.serveCompatible : way.serve;

serve(onward, (own) => {
  const get = (path, done) => way.get(own, path, done);
  const jobs = STYLE === "callbacks" ? require("./callbacks")(get) : awaiting(promisify(get));
  const server = http.createServer((request, response) => {
    const [, verb, id] = request.url.split("/");
    jobs[verb](id, (error) => {
      response.writeHead(error ? 502 : 200, { "content-type": "text/plain" });
      response.end(error ? `${error.message}\n` : "done\n");
    });
  });
  server.listen(Number(PORT), "127.0.0.1", () => console.log(`listening on ${PORT}`));
});

// What each path does, with promises.
function awaiting(get) {
  const jobs = require("../node-calls/jobs")((path) => get(path.replace("/leaf/", "/hop/")));
  return Object.fromEntries(
    Object.entries(jobs).map(([verb, job]) => [
      verb,
      (id, done) => job(id).then(() => done(), done),
    ]),
  );
}
