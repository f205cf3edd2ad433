const axios = require("axios");
const express = require("express");

const port = Number(process.env.PORT || 3000);
const dataProcessor = process.env.UPSTREAM || "http://127.0.0.1:3001";

const app = express();

app.get("/health", (request, response) => {
  response.json({ status: "ok" });
});

app.get("/process/:name", async (request, response) => {
  const name = encodeURIComponent(request.params.name);
  try {
    const answer = await axios.get(`${dataProcessor}/data/${name}`);
    response.json({ processed: answer.data });
  } catch (error) {
    const status = error.response ? error.response.status : 502;
    response.status(status).json({ error: error.message });
  }
});

app.listen(port, "127.0.0.1", () => console.log(`frontend-api listening on ${port}`));
