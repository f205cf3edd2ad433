// Fastify and undici.
const { Pool } = require("undici");
const makeJobs = require("./jobs");

const pool = new Pool(process.env.UPSTREAM || "http://127.0.0.1:1", { connections: 32 });
const jobs = makeJobs(async (path, options = {}) => {
  const signal = options.timeout && AbortSignal.timeout(options.timeout);
  const { statusCode, body } = await pool.request({ path, method: "GET", signal });
  await body.dump();
  return statusCode;
});

const app = require("fastify")();
app.get("/:verb/:id", async (request) => {
  await jobs[request.params.verb](request.params.id);
  return "done\n";
});

module.exports = (port, ready) => app.listen({ port, host: "127.0.0.1" }, ready);
