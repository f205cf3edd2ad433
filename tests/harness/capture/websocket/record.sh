#!/usr/bin/env bash
# Records WebSockets into tests/traffic/http1, from Python's websockets and Node's ws on loopback.
# Needs: the service `websocket` (cargo xtask setup). Then: UPDATE=1 cargo test --test protocols
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tests=$(cd "$here/../../.." && pwd)
out=$tests/traffic/http1
capture=${CAPTURE:?set CAPTURE to the built program, e.g. target/debug/capture}
service=${SERVICE:-$tests/../target/xtask/workloads/websocket}
trap 'kill $(jobs -p) 2>/dev/null' EXIT

PORT=28086 PEER=python "$service/run" >/dev/null 2>&1 &
PORT=28087 PEER=node "$service/run" >/dev/null 2>&1 &
for port in 28086 28087; do
    for _ in $(seq 1 60); do
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
        sleep 0.5
    done
done

websockets="websockets $(python3 -c 'import websockets; print(websockets.__version__)')"
ws="ws $(sed -n 's/.*"version": "\(.*\)".*/\1/p' "$service/node_modules/ws/package.json") on node $(node --version)"
url=ws://127.0.0.1:28080

# NAME KEEP SERVER CLIENT SHOWS PATH MESSAGES
record() {
    local port=28086 server=$websockets client=$websockets
    [ "$3" = node ] && port=28087 server=$ws
    [ "$4" = node ] && client=$ws
    echo "$1"
    "$capture" "$out/websocket_$1.traffic" 127.0.0.1:28080 "127.0.0.1:$port" "$2" "$5" "$server" "$client" \
        "PEER=$4 '$service/client' $url $6 $7" >/dev/null 2>&1
    sed -i "s|^command: .*|command: PEER=$4 ./client $url $6 $7|" "$out/websocket_$1.traffic"
}

record echo 8192 python node "messages both ways, compressed, and a close of the client" /echo 3
record chat 8192 node python "a subprotocol; the other way round" /chat 3
record large 600 python python "long messages, mostly not seen" /large 2
record parts 8192 python python "fragments, with pings between" /parts 2
record parts_node 8192 node node "fragments, uncompressed ones and pings" /parts 2
record many 8192 node python "many messages in few calls" /many 40
record fail 8192 python node "1011: an error for both" /fail 1
record leave 8192 node python "1001: the server goes away" /leave 1
record huge 600 python node "1009: a message that is too big, the client's mistake" /huge 1
record abort 8192 python python "the server goes without a word" /abort 1
record gone 8192 node node "the client goes without a word" /gone 1
