const axios = require("axios");
const express = require("express");

const port = Number(process.env.PORT || 3000);
const upstream = process.env.UPSTREAM;

const app = express();
app.use(express.raw({ type: () => true, limit: "8mb" }));

app.get("/", (request, response) => response.type("text").send("hello\n"));
app.get("/status/:code", (request, response) => {
  response.status(Number(request.params.code)).type("text").send(`status ${request.params.code}\n`);
});
app.get("/slow/:ms", (request, response) => {
  setTimeout(() => response.type("text").send("late\n"), Number(request.params.ms));
});
app.get("/call", async (request, response) => {
  try {
    const answer = await axios.get(`${upstream}/`, {
      params: request.query,
      validateStatus: () => true,
    });
    response.status(answer.status).type("text").send("called\n");
  } catch (error) {
    response.status(502).type("text").send(`${error.message}\n`);
  }
});
app.post("/echo", (request, response) => response.type("text").send(request.body));

app.listen(port, "127.0.0.1", () => console.log(`storefront listening on ${port}`));
