#!/usr/bin/env bash
# Records tests/traffic/http1 from real clients and servers on loopback.
# Needs: nginx, node, python3 with requests, go, java, curl. Then: UPDATE=1 cargo test --test protocols
. "$(dirname "$0")/../prepare.sh"
out=$tests/traffic/http1

mkdir -p "$out"
pages
go build -o "$work/server" "$here/server.go"
nginx -p "$work" -c "$here/nginx.conf" &
node "$here/server.js" &
"$work/server" &
java "$here/Server.java" &
python3 -m http.server --bind 127.0.0.1 --directory "$work/www" 28085 2>/dev/null &
listening 28081 28082 28083 28084 28085

nginx=$(version_of nginx)
node=$(version_of node)
go=$(version_of go)
java=$(version_of java)
python=$(version_of python)
curl=$(version_of curl)
requests="requests $(python3 -c 'import requests; print(requests.__version__)') on $python"
url=http://127.0.0.1:28080

record get 28081 8192 "one request and its answer" "$nginx" "$curl" "curl -s $url/small.txt"
record get_empty 28081 8192 "204 has no body and no length" "$nginx" "$curl" "curl -s $url/nothing"
record keep_alive 28081 8192 "three requests on one connection" "$nginx" "$curl" "curl -s $url/small.txt $url/small.txt?page=2 $url/medium.txt"
record head 28081 8192 "HEAD: a length and no body" "$nginx" "$curl" "curl -sI $url/medium.txt $url/small.txt"
record not_modified 28081 8192 "304: no body" "$nginx" "$curl" "curl -s -H 'If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT' $url/medium.txt"
record not_found 28081 8192 "404: an error for the client only" "$nginx" "$curl" "curl -s $url/missing/7"
record server_error 28081 8192 "500: an error for both" "$nginx" "$curl" "curl -s $url/broken"
record redirect 28081 8192 "301 and the request that follows" "$nginx" "$curl" "curl -sL $url/old"
record gzip 28081 8192 "a compressed chunked body" "$nginx" "$curl" "curl -s --compressed $url/medium.txt"
record large_body 28081 600 "a large body of known length, mostly not seen" "$nginx" "$curl" "curl -s $url/large.txt $url/small.txt"
record long_url 28081 16384 "a URL of 6 KB" "$nginx" "$curl" "curl -s \"$url/small.txt?q=\$(head -c 6000 /dev/zero | tr '\\0' x)\""
record http_1_0 28085 8192 "HTTP/1.0: the body ends with the connection" "SimpleHTTP on $python" "$curl" "curl -s0 $url/"
record pipelined 28081 8192 "three requests before the first answer" "$nginx" "sockets of $python" "python3 raw.py 'GET /small.txt HTTP/1.1\\r\\nHost: a\\r\\n\\r\\nHEAD /medium.txt HTTP/1.1\\r\\nHost: a\\r\\n\\r\\nGET /missing HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n'"
record bare_line_feeds 28081 8192 "bare LF and empty lines before a request are tolerated" "$nginx" "sockets of $python" "python3 raw.py '\\r\\n\\r\\nGET /small.txt HTTP/1.1\\nHost: a\\n\\n' wait '\\r\\nGET /small.txt HTTP/1.1\\nHost: a\\nConnection: close\\n\\n'"
record proxied 28081 8192 "a proxy in front: forwarded headers and carried trace context" "$nginx" "$curl" "curl -s -H 'X-Forwarded-For: 192.0.2.7, 10.0.0.1' -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-Host: shop.example' -H 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' -H 'tracestate: a=1' -H 'tracestate: b=2' $url/small.txt"
record bad_request 28081 8192 "an answer before the request's head is over" "$nginx" "sockets of $python" "python3 raw.py 'GET /small.txt HTTP/1.1\\r\\nHost: a b\\r\\n' 'Never: finished\\r\\n'"
record post 28082 8192 "a body with Content-Length" "$node" "$requests" "python3 client.py form"
record chunked_request 28082 8192 "a chunked request in several calls" "$node" "$node" "node client.js chunked"
record chunked_answer 28082 8192 "a chunked answer in several calls" "$node" "$curl" "curl -s $url/chunked"
record trailers 28082 8192 "trailers behind the last chunk" "$node" "$node" "node client.js trailers"
record keep_alive_node 28082 8192 "routes of a server, three requests by an agent" "$node" "$node" "node client.js agent"
record expect_continue 28082 2048 "100 Continue is not the answer" "$node" "$curl" "head -c 3000 /dev/zero | tr '\\0' x | curl -s -H 'Expect: 100-continue' -H 'Content-Type: text/plain' --data-binary @- $url/upload"
record expect_refused 28082 8192 "a refused body is left out; the next request follows" "$node" "sockets of $python" "python3 raw.py 'POST /refused HTTP/1.1\\r\\nHost: a\\r\\nExpect: 100-continue\\r\\nContent-Length: 500000\\r\\n\\r\\n' wait quit"
record early_hints 28082 8192 "103 is not the answer" "$node" "$curl" "curl -s $url/hints"
record early_answer 28082 1024 "the answer comes before the request's body is over" "$node" "sockets of $python" "python3 raw.py 'POST /early HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\nContent-Length: 10\\r\\n\\r\\n1234' wait '567890'"
record upgrade 28082 8192 "101: another protocol from here on" "$node" "$node" "node client.js upgrade"
record tunnel 28082 8192 "CONNECT: a tunnel from here on" "$node" "$curl" "curl -sp -x $url http://127.0.0.1:28081/small.txt"
record aborted_answer 28082 8192 "the server goes in the middle of its answer" "$node" "$curl" "curl -s $url/abort"
record no_answer 28082 8192 "the server closes without an answer" "$node" "$curl" "curl -s $url/silent"
record client_gone 28082 8192 "the client goes in the middle of its request" "$node" "sockets of $python" "python3 raw.py 'POST /upload HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 100\\r\\n\\r\\nonly this' quit"
record bad_gateway 28081 8192 "502 of a proxy whose server goes without an answer" "$nginx" "$curl" "curl -s $url/node/silent $url/small.txt"
record custom_method 28083 8192 "a method that nobody registered" "$go net/http" "$curl" "curl -s -X FROBNICATE $url/things/17"
record absolute_form 28083 8192 "an absolute target with user and password, as proxies get it" "$go net/http" "$curl" "curl -s -x $url 'http://user:password@example.com/a/b?c=d'"
record options_asterisk 28083 8192 "OPTIONS *: the server as a whole" "$go net/http" "$curl" "curl -s -X OPTIONS --request-target '*' $url/"
record session 28083 8192 "success, failure, success on one connection" "$go net/http" "$requests" "python3 client.py session"
record close 28083 8192 "Connection: close" "$go net/http" "$curl" "curl -s -H 'Connection: close' $url/last"
record cut_chunks 28083 64 "a chunked stream whose chunk headers were not seen" "$go net/http" "$curl" "curl -s $url/stream $url/next"
record jdk 28084 8192 "the JDK's server, two requests" "$java" "$curl" "curl -s $url/ $url/hello"
record chunked_both 28084 8192 "chunked both ways" "$java" "http.client of $python" "python3 client.py plain"
