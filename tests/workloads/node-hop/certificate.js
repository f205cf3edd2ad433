// A key and a certificate of this host, made for one run.
const { execFileSync } = require("child_process");

const made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost";
const names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];

// PEM, both in one.
module.exports = () =>
  execFileSync("openssl", [...made.split(" "), ...names, "-keyout", "-", "-out", "-"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
