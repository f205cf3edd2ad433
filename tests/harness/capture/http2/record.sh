#!/usr/bin/env bash
# Records tests/traffic/http2, and the upgrade in tests/traffic/http1, from real clients and
# servers on loopback. Needs: nginx, node, go, curl, h2load and nghttp (nghttp2-client).
# Then: UPDATE=1 cargo test --test protocols
. "$(dirname "$0")/../prepare.sh"
out=$tests/traffic/http2

mkdir -p "$out"
pages
(cd "$here" && go build -o "$work/server" .)
nginx -p "$work" -c "$here/nginx.conf" &
node "$here/server.js" &
"$work/server" &
listening 28081 28082 28083

nginx=$(version_of nginx)
node=$(version_of node)
go=$(version_of go)
curl=$(version_of curl)
h2load=$(h2load --version)
nghttp=$(nghttp --version)
url=http://127.0.0.1:28080
h2="curl -s --http2-prior-knowledge"

record get 28081 8192 "one request and its answer" "$nginx" "$curl" "$h2 $url/small.txt"
record get_empty 28081 8192 "204 has no body" "$nginx" "$curl" "$h2 $url/nothing"
record keep_alive 28081 8192 "three requests, one after the other" "$nginx" "$h2load" "h2load -n 3 -c 1 -m 1 $url/small.txt $url/small.txt?page=2 $url/medium.txt"
record parallel 28081 8192 "requests side by side, with priorities" "$nginx" "$nghttp" "nghttp -n $url/small.txt $url/medium.txt $url/missing $url/small.txt?n=2"
record head 28081 8192 "HEAD: a length and no body" "$nginx" "$curl" "$h2 -I $url/medium.txt"
record not_modified 28081 8192 "304: no body" "$nginx" "$curl" "$h2 -H 'If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT' $url/medium.txt"
record not_found 28081 8192 "404: an error for the client only" "$nginx" "$curl" "$h2 $url/missing/7"
record server_error 28081 8192 "500: an error for both" "$nginx" "$curl" "$h2 $url/broken"
record long_url 28081 16384 "a URL of 6 KB" "$nginx" "$curl" "$h2 \"$url/small.txt?q=\$(head -c 6000 /dev/zero | tr '\\0' x)\""
record large_body 28081 600 "large bodies, mostly not seen" "$nginx" "$h2load" "h2load -n 3 -c 1 -m 1 $url/large.txt $url/small.txt"
record proxied 28081 8192 "forwarded headers and carried trace context" "$nginx" "$curl" "$h2 -H 'X-Forwarded-For: 192.0.2.7, 10.0.0.1' -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-Host: shop.example' -H 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' -H 'tracestate: a=1,b=2' $url/small.txt"
record h2load 28081 8192 "forty requests, ten at a time" "$nginx" "$h2load" "h2load -n 40 -c 1 -m 10 $url/small.txt"
record flow_control 28081 8192 "a body that waits for the window" "$nginx" "$h2load" "h2load -n 2 -c 1 -m 2 -w 10 -W 10 $url/medium.txt"
record priorities 28082 8192 "a tree of priorities, padded frames" "$node" "$nghttp" "nghttp -n -b 16 -p 32 -p 16 $url/trailers $url/hints"
record many_node 28082 8192 "answers in another order than requests" "$node" "$node" "node client.js many"
record push 28082 8192 "a client that takes what is pushed" "$node" "$node" "node client.js push"
record push_refused 28082 8192 "a client that refuses push" "$node" "$curl" "$h2 $url/push"
record cancel 28082 8192 "the client cancels its first request" "$node" "$node" "node client.js cancel"
record upload 28082 2048 "a large body of the request, mostly not seen" "$node" "$node" "node client.js upload"
record continuation 28082 65536 "a head in several frames" "$node" "$node" "node client.js long"
record early_hints 28082 8192 "103 is not the answer" "$node" "$curl" "$h2 $url/hints"
record trailers 28082 8192 "trailers behind the body" "$node" "$curl" "$h2 $url/trailers"
record refused 28082 8192 "the server refuses a stream" "$node" "$curl" "$h2 $url/refuse"
record aborted_answer 28082 8192 "the connection ends in the middle of an answer" "$node" "$curl" "$h2 $url/abort"
record away 28082 8192 "the server goes away behind an answer" "$node" "$node" "node client.js away"
record go 28083 8192 "Go on both ends" "$go net/http" "$go net/http" "server /stream /stream /echo /panic /missing"
record post 28083 8192 "a body both ways" "$go net/http" "$curl" "$h2 -d hello=world $url/echo"
out=$tests/traffic/http1
record upgrade_h2c 28083 8192 "an upgrade to HTTP/2: the answer comes on its first stream" "$go net/http" "$curl" "curl -s --http2 $url/stream $url/missing"
