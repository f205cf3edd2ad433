#!/usr/bin/env bash
# Records tests/traffic/tls from real clients and servers on loopback.
# Needs: nginx, openssl, curl, go, java with keytool, node, python3. Then:
# UPDATE=1 cargo test --test protocols
. "$(dirname "$0")/../prepare.sh"
out=$tests/traffic/tls
proxy=127.0.0.1:28090
from=$work

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
listening 28091 28092 28093 28094 28095 28096 28097

nginx=$(version_of nginx)
openssl="OpenSSL $(openssl version | sed 's/^OpenSSL \([^ ]*\).*/\1/')"
node=$(version_of node)
go="$(version_of go) crypto/tls"
java="$(version_of java) JSSE"
python="sockets of $(version_of python)"
curl=$(version_of curl)
url=https://localhost:28090
client="openssl s_client -connect 127.0.0.1:28090 -servername localhost -quiet -no_ign_eof"

# NAME PORT SHOWS SERVER CLIENT COMMAND; clients tell what they do not trust.
greet() { record "$1" "$2" 2048 "$3" "$4" "$5" "$6" 2>/dev/null; }

greet tls13 28091 "TLS 1.3; what the server chose of ALPN is encrypted" "$nginx" "$curl" "curl -sk $url/small.txt"
greet tls12 28091 "TLS 1.2 with ALPN" "$nginx" "$curl" "curl -sk --tls-max 1.2 $url/large.txt"
greet refused13 28091 "a client that does not trust the server; before it sends anything encrypted" "$nginx" "$curl" "curl -s $url/small.txt"
greet refused12 28091 "a client that does not trust the server: an alert in the clear" "$nginx" "$curl" "curl -s --tls-max 1.2 $url/small.txt"
greet no_version 28093 "no version in common" "$nginx" "$curl" "curl -sk --tls-max 1.2 $url/small.txt"
greet no_tls 28092 "a server that does not speak TLS" "$nginx" "$curl" "curl -sk $url/small.txt"
greet closed 28097 "the server closes without a hello" "$python" "$curl" "curl -sk $url/small.txt"
greet retried 28094 "another hello wanted: the client guessed the wrong group" "$openssl" "$openssl" "sleep 1 | $client -groups X25519:P-384"
direct="openssl s_client -servername localhost"
sleep 1 | $direct -connect 127.0.0.1:28094 -groups P-384 -sess_out session >/dev/null 2>&1
echo early >early
greet early_data 28094 "a session goes on, data before the server has answered" "$openssl" "$openssl" "sleep 1 | $client -groups P-384 -sess_in session -early_data early"
sleep 1 | $direct -connect 127.0.0.1:28095 -sess_out session12 >/dev/null 2>&1
greet resumed12 28095 "a session of TLS 1.2 goes on" "$openssl" "$openssl" "sleep 1 | $client -sess_in session12"
greet no_name 28091 "a client that names no server" "$nginx" "$openssl" "sleep 1 | openssl s_client -connect 127.0.0.1:28090 -noservername"
greet java 28091 "the JDK's client" "$nginx" "$java" "java -cp . -Djavax.net.ssl.trustStore=trust -Djavax.net.ssl.trustStorePassword=changeit Client $url/small.txt"
greet go 28096 "Go at both ends" "$go" "$go" "./peer call 127.0.0.1:28090 weft-test"
greet go_refused 28096 "a client that does not trust the server: its alert is encrypted" "$go" "$go" "./peer verify 127.0.0.1:28090 weft-test"
greet go_no_protocol 28096 "no application protocol in common" "$go" "$go" "./peer call 127.0.0.1:28090 other"
greet node 28091 "node's client" "$nginx" "$node" "NODE_TLS_REJECT_UNAUTHORIZED=0 node -e \"require('https').get('$url/small.txt', (r) => r.resume())\""
