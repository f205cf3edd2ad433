#!/usr/bin/env bash
# Records tests/traffic/fastcgi: nginx as the client, php-fpm as the server, on loopback.
# Needs: nginx, php-fpm, curl. Then: UPDATE=1 cargo test --test protocols
. "$(dirname "$0")/../prepare.sh"
out=$tests/traffic/fastcgi

mkdir -p "$out" "$work/html"
cp "$here/index.php" "$work/html/"
fpm=$(command -v php-fpm8.2 || command -v php-fpm)
"$fpm" -y "$here/php-fpm.conf" &
sed "s|listen 127.0.0.1:28081;|&\n        root $work/html;|" "$here/nginx.conf" >"$work/nginx.conf"
nginx -p "$work" -c "$work/nginx.conf" &
listening 28081 28082

php="PHP $("$fpm" -v | sed -n '1s/^PHP \([^ ]*\).*/\1/p')"
nginx=$(version_of nginx)
url=http://127.0.0.1:28081

# NAME KEEP SHOWS COMMAND
served() { record "$1" 28082 "$2" "$3" "$php" "$nginx" "$4"; }

served get 8192 "one request and its answer" "curl -s '$url/shop/cart?page=2'"
served kept 8192 "two requests on one connection" "curl -s $url/kept/1 $url/kept/2"
served post 8192 "a body both ways" "curl -s -d hello=world $url/echo"
served not_found 8192 "404: an error for the client only" "curl -s $url/missing"
served server_error 8192 "500: an error for both" "curl -s $url/broken"
served trace_context 8192 "trace headers" "curl -s -H 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' $url/"
served large_body 600 "a large answer, mostly not seen" "curl -s $url/large"
served aborted_answer 8192 "the server goes in the middle of its answer" "curl -s $url/abort"
