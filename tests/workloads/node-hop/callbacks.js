// What each path does, with callbacks: `get(path, done)` asks for a path and answers its status.
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

module.exports = (get) => ({
  work(id, done) {
    get(`/hop/${id}/1`, (error) => setTimeout(done, 3, error));
  },
  seq(id, done) {
    get(`/hop/${id}/1`, (error) => {
      if (error) return done(error);
      setTimeout(() => get(`/hop/${id}/2`, done), 3);
    });
  },
  fan(id, done) {
    let left = 3;
    const one = (error) => {
      left -= 1;
      if (error || left === 0) done(error);
    };
    for (const step of [1, 2, 3]) get(`/hop/${id}/${step}`, one);
  },
  lock(id, done) {
    lock(() =>
      get(`/hop/${id}/1`, (error) => {
        unlock();
        done(error);
      }),
    );
  },
  after(id, done) {
    done();
    setTimeout(() => get(`/hop/${id}/1`, () => {}), 3);
  },
});
