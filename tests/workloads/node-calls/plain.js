// Node's own http with callbacks and a keep-alive agent.
const http = require("http");

const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });
const upstream = process.env.UPSTREAM;

function get(path, options, done) {
  const request = http.get(upstream + path, { agent, ...options }, (answer) => {
    answer.resume();
    answer.on("end", () => done(null, answer.statusCode));
  });
  request.on("timeout", () => request.destroy(new Error("timed out")));
  request.on("error", done);
}

let busy = false;
const waiting = [];

function lock(job) {
  if (busy) return waiting.push(job);
  busy = true;
  job();
}

function unlock() {
  const next = waiting.shift();
  if (next) return next();
  busy = false;
}

// TURNS: every call waits for the one before it, whoever made that.
function inTurn(path, options, done) {
  lock(() =>
    get(path, options, (error, status) => {
      unlock();
      done(error, status);
    }),
  );
}

const fetch = process.env.TURNS ? inTurn : get;

const jobs = {
  work(id, done) {
    fetch(`/leaf/${id}/1`, {}, (error) => setTimeout(done, 3, error));
  },
  seq(id, done) {
    fetch(`/leaf/${id}/1`, {}, (error) => {
      if (error) return done(error);
      setTimeout(() => fetch(`/leaf/${id}/2`, {}, done), 3);
    });
  },
  fan(id, done) {
    let left = 3;
    const one = (error) => {
      left -= 1;
      if (error || left === 0) done(error);
    };
    for (const step of [1, 2, 3]) fetch(`/leaf/${id}/${step}`, {}, one);
  },
  lock(id, done) {
    lock(() =>
      get(`/leaf/${id}/1`, {}, (error) => {
        unlock();
        done(error);
      }),
    );
  },
  retry(id, done) {
    fetch(`/flaky/${id}/1`, {}, (error, status) => {
      if (error || status !== 503) return done(error);
      fetch(`/flaky/${id}/1`, {}, done);
    });
  },
  after(id, done) {
    done();
    setTimeout(() => fetch(`/leaf/${id}/1`, {}, () => {}), 3);
  },
  late(id, done) {
    fetch(`/slow/${id}/1`, { timeout: 50 }, () => done());
  },
};

const server = http.createServer((request, response) => {
  const [, verb, id] = request.url.split("/");
  if (!jobs[verb]) return response.writeHead(404).end();
  jobs[verb](id, (error) => {
    response.writeHead(error ? 502 : 200, { "content-type": "text/plain" });
    response.end(error ? `${error.message}\n` : "done\n");
  });
});

module.exports = (port, ready) => server.listen(port, "127.0.0.1", ready);
