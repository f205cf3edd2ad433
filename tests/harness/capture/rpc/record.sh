#!/usr/bin/env bash
# Records calls: gRPC into tests/traffic/http2, gRPC-Web and Connect there and into http1, from
# real clients and servers on loopback. Needs: go, python3 with grpcio, node with @grpc/grpc-js.
# Then: UPDATE=1 cargo test --test protocols
. "$(dirname "$0")/../prepare.sh"
out=$tests/traffic
export NODE_PATH=${NODE_PATH:-$tests/../target/xtask/workloads/grpc-node/node_modules}

(cd "$here" && go build -o "$work/rpc" .)
"$work/rpc" &
python3 "$here/serve.py" 28086 >/dev/null &
node "$here/node.js" serve 28087 &
listening 28084 28085 28086 28087

version() { sed -n "s|^\s*$1 v|v|p" "$here/go.mod"; }
go="grpc-go $(version google.golang.org/grpc)"
connect="connect-go $(version connectrpc.com/connect)"
python="grpcio $(python3 -c 'import grpc; print(grpc.__version__)')"
node="grpc-js $(node -p "require('@grpc/grpc-js/package.json').version")"

# Names have their folders before them.
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
