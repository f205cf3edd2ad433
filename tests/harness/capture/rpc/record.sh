#!/usr/bin/env bash
# Records calls: gRPC into tests/traffic/http2, gRPC-Web and Connect there and into http1, from
# real clients and servers on loopback. Needs: go, python3 with grpcio, node with @grpc/grpc-js.
# Then: UPDATE=1 cargo test --test protocols
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tests=$(cd "$here/../../.." && pwd)
capture=${CAPTURE:?set CAPTURE to the built program, e.g. target/debug/capture}
export NODE_PATH=${NODE_PATH:-$tests/../target/xtask/workloads/grpc-node/node_modules}
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT

(cd "$here" && go build -o "$work/rpc" .)
"$work/rpc" &
python3 "$here/serve.py" 28086 >/dev/null &
node "$here/node.js" serve 28087 &
for port in 28084 28085 28086 28087; do
    for _ in $(seq 1 60); do
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
        sleep 0.5
    done
done

version() { sed -n "s|^\s*$1 v|v|p" "$here/go.mod"; }
go="grpc-go $(version google.golang.org/grpc)"
connect="connect-go $(version connectrpc.com/connect)"
python="grpcio $(python3 -c 'import grpc; print(grpc.__version__)')"
node="grpc-js $(node -p "require('@grpc/grpc-js/package.json').version")"

# Only the named ones, if any are named.
only=" $* "
# FOLDER/NAME PORT KEEP SHOWS SERVER CLIENT COMMAND
record() {
    [ "$only" = "  " ] || [[ "$only" == *" $1 "* ]] || return 0
    echo "$1"
    (cd "$here" && PATH="$work:$PATH" timeout 30 "$capture" "$tests/traffic/$1.traffic" 127.0.0.1:28080 "127.0.0.1:$2" "$3" "$4" "$5" "$6" "$7" >/dev/null)
}

all="world missing broken watch unknown late cancel world"
record http2/grpc_go 28084 8192 "calls, errors, streams both ways, a deadline, a cancellation" "$go" "$go" "rpc grpc $all"
record http2/grpc_python 28086 8192 "the same from grpcio to grpcio" "$python" "$python" "python3 call.py 28080 $all"
record http2/grpc_node 28087 8192 "the same from grpc-js to grpc-js" "$node" "$node" "node node.js 28080 $all"
record http2/grpc_python_node 28087 8192 "grpcio calls grpc-js" "$node" "$python" "python3 call.py 28080 $all"
record http2/grpc_node_go 28084 8192 "grpc-js calls grpc-go" "$go" "$node" "node node.js 28080 world watch missing"
record http2/grpc_cut 28086 700 "messages whose bodies were not seen are counted by their heads" "$python" "$python" "python3 call.py 28080 watch world"
record http2/connect_grpc 28085 8192 "gRPC of another implementation" "$connect" "$connect" "rpc connect-grpc world missing watch list-broken"
record http2/grpc_web 28085 8192 "gRPC-Web over HTTP/2" "$connect" "$connect" "rpc web2 world missing list-all list-broken"
record http2/connect 28085 8192 "Connect over HTTP/2" "$connect" "$connect" "rpc connect2 world missing broken list-all list-broken watch"
record http1/grpc_web 28085 8192 "gRPC-Web: the trailers are a last message" "$connect" "$connect" "rpc web world missing list-all list-broken"
record http1/connect 28085 8192 "Connect: a message each way; errors as JSON; streams with a last message" "$connect" "$connect" "rpc connect world missing broken list-all list-broken"
record http1/connect_get 28085 8192 "Connect: a call by GET" "$connect" "$connect" "rpc connect-get world missing"
