#!/usr/bin/env bash
# Records tests/traffic/tls from real clients and servers on loopback.
# Needs: nginx, openssl, curl, go, java with keytool, node, python3. Then:
# UPDATE=1 cargo test --test protocols
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tests=$(cd "$here/../../.." && pwd)
out=$tests/traffic/tls
capture=${CAPTURE:?set CAPTURE to the built program, e.g. target/debug/capture}
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT

# nginx's workers are another user.
chmod 755 "$work"
mkdir -p "$work/www" "$out"
echo "a small file" >"$work/www/small.txt"
head -c 20000 /dev/zero | tr '\0' x >"$work/www/large.txt"
cd "$work"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem \
    -days 3650 -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
chmod 644 key.pem
keytool -importcert -noprompt -file cert.pem -keystore trust -storepass changeit 2>/dev/null
go build -o peer "$here/peer.go"
javac -d . "$here/Client.java"
# Certificates are sought beside the configuration.
cp "$here/nginx.conf" .
nginx -p "$work" -c "$work/nginx.conf" &
server="openssl s_server -cert cert.pem -key key.pem -quiet"
# It would end with its input.
sleep 600 | $server -accept 28094 -early_data -groups P-384 >/dev/null 2>&1 &
$server -accept 28095 -tls1_2 -www >/dev/null 2>&1 &
./peer serve 127.0.0.1:28096 weft-test &
python3 "$here/raw.py" 28097 &
for port in 28091 28092 28093 28094 28095 28096 28097; do
    for _ in $(seq 1 60); do
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
        sleep 0.5
    done
done

nginx="nginx/$(nginx -v 2>&1 | sed 's|.*/||')"
openssl="OpenSSL $(openssl version | sed 's/^OpenSSL \([^ ]*\).*/\1/')"
node="node $(node --version)"
go="$(go env GOVERSION) crypto/tls"
java="openjdk $(java -version 2>&1 | sed -n 's/.*version "\(.*\)".*/\1/p') JSSE"
python="sockets of python $(python3 -c 'import platform; print(platform.python_version())')"
curl=$(curl --version | sed -n 's/^curl \([^ ]*\).*/curl \1/p')
url=https://localhost:28090
client="openssl s_client -connect 127.0.0.1:28090 -servername localhost -quiet -no_ign_eof"

# NAME PORT SHOWS SERVER CLIENT COMMAND
record() {
    echo "$1"
    "$capture" "$out/$1.traffic" 127.0.0.1:28090 "127.0.0.1:$2" 2048 "$3" "$4" "$5" "$6" >/dev/null 2>&1
}

record tls13 28091 "TLS 1.3; what the server chose of ALPN is encrypted" "$nginx" "$curl" "curl -sk $url/small.txt"
record tls12 28091 "TLS 1.2 with ALPN" "$nginx" "$curl" "curl -sk --tls-max 1.2 $url/large.txt"
record refused13 28091 "a client that does not trust the server; before it sends anything encrypted" "$nginx" "$curl" "curl -s $url/small.txt"
record refused12 28091 "a client that does not trust the server: an alert in the clear" "$nginx" "$curl" "curl -s --tls-max 1.2 $url/small.txt"
record no_version 28093 "no version in common" "$nginx" "$curl" "curl -sk --tls-max 1.2 $url/small.txt"
record no_tls 28092 "a server that does not speak TLS" "$nginx" "$curl" "curl -sk $url/small.txt"
record closed 28097 "the server closes without a hello" "$python" "$curl" "curl -sk $url/small.txt"
record retried 28094 "another hello wanted: the client guessed the wrong group" "$openssl" "$openssl" "sleep 1 | $client -groups X25519:P-384"
direct="openssl s_client -servername localhost"
sleep 1 | $direct -connect 127.0.0.1:28094 -groups P-384 -sess_out session >/dev/null 2>&1
echo early >early
record early_data 28094 "a session goes on, data before the server has answered" "$openssl" "$openssl" "sleep 1 | $client -groups P-384 -sess_in session -early_data early"
sleep 1 | $direct -connect 127.0.0.1:28095 -sess_out session12 >/dev/null 2>&1
record resumed12 28095 "a session of TLS 1.2 goes on" "$openssl" "$openssl" "sleep 1 | $client -sess_in session12"
record no_name 28091 "a client that names no server" "$nginx" "$openssl" "sleep 1 | openssl s_client -connect 127.0.0.1:28090 -noservername"
record java 28091 "the JDK's client" "$nginx" "$java" "java -cp . -Djavax.net.ssl.trustStore=trust -Djavax.net.ssl.trustStorePassword=changeit Client $url/small.txt"
record go 28096 "Go at both ends" "$go" "$go" "./peer call 127.0.0.1:28090 weft-test"
record go_refused 28096 "a client that does not trust the server: its alert is encrypted" "$go" "$go" "./peer verify 127.0.0.1:28090 weft-test"
record go_no_protocol 28096 "no application protocol in common" "$go" "$go" "./peer call 127.0.0.1:28090 other"
record node 28091 "node's client" "$nginx" "$node" "NODE_TLS_REJECT_UNAUTHORIZED=0 node -e \"require('https').get('$url/small.txt', (r) => r.resume())\""
