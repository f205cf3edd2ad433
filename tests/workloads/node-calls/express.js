// Express and axios over a keep-alive agent.
const http = require("http");
const axios = require("axios");
const express = require("express");
const makeJobs = require("./jobs");

const client = axios.create({
  baseURL: process.env.UPSTREAM,
  httpAgent: new http.Agent({ keepAlive: true }),
  validateStatus: () => true,
});
const jobs = makeJobs(async (path, options) => (await client.get(path, options)).status);

const app = express();
app.get("/:verb/:id", async (request, response) => {
  await jobs[request.params.verb](request.params.id);
  response.type("text").send("done\n");
});

module.exports = (port, ready) => app.listen(port, "127.0.0.1", ready);
