// What each path does, whoever fetches: `fetchPath(path, { timeout })` resolves to a status.
const { setTimeout: wait } = require("timers/promises");

let last = Promise.resolve();

// One at a time: each waits for the one before.
function locked(job) {
  const run = last.then(job);
  last = run.catch(() => {});
  return run;
}

module.exports = (fetchPath) => ({
  async work(id) {
    await fetchPath(`/leaf/${id}/1`);
    await wait(3);
  },
  async seq(id) {
    await fetchPath(`/leaf/${id}/1`);
    await wait(3);
    await fetchPath(`/leaf/${id}/2`);
  },
  async fan(id) {
    await Promise.all([1, 2, 3].map((step) => fetchPath(`/leaf/${id}/${step}`)));
  },
  lock: (id) => locked(() => fetchPath(`/leaf/${id}/1`)),
  async retry(id) {
    if ((await fetchPath(`/flaky/${id}/1`)) === 503) await fetchPath(`/flaky/${id}/1`);
  },
  // the answer does not wait for it
  async after(id) {
    setTimeout(() => fetchPath(`/leaf/${id}/1`).catch(() => {}), 3);
  },
  late: (id) => fetchPath(`/slow/${id}/1`, { timeout: 50 }).catch(() => {}),
});
