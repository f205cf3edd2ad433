const cluster = require("cluster");

const port = Number(process.env.PORT || 3000);
const style = process.env.STYLE || "plain";
const ready = () => console.log(`listening on ${port}`);

if (style !== "cluster") {
  require(`./${style}`)(port, ready);
} else if (cluster.isPrimary) {
  let up = 0;
  cluster.on("listening", () => (up += 1) === 2 && ready());
  cluster.fork();
  cluster.fork();
  process.on("SIGTERM", () => process.exit(0));
} else {
  require("./plain")(port, () => {});
}
