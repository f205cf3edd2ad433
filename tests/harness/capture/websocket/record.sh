#!/usr/bin/env bash
# Records WebSockets into tests/traffic/http1, from Python's websockets and Node's ws on loopback.
# Needs: the service `websocket` (cargo xtask setup). Then: UPDATE=1 cargo test --test protocols
. "$(dirname "$0")/../prepare.sh"
out=$tests/traffic/http1
service=${SERVICE:-$tests/../target/xtask/workloads/websocket}

PORT=28086 PEER=python "$service/run" >/dev/null 2>&1 &
PORT=28087 PEER=node "$service/run" >/dev/null 2>&1 &
listening 28086 28087

websockets="websockets $(python3 -c 'import websockets; print(websockets.__version__)')"
ws="ws $(sed -n 's/.*"version": "\(.*\)".*/\1/p' "$service/node_modules/ws/package.json") on $(version_of node)"
url=ws://127.0.0.1:28080

# NAME KEEP SERVER CLIENT SHOWS PATH MESSAGES
talk() {
    local name=websocket_$1 port=28086 server=$websockets client=$websockets
    [ "$3" = node ] && port=28087 server=$ws
    [ "$4" = node ] && client=$ws
    record "$name" "$port" "$2" "$5" "$server" "$client" "PEER=$4 '$service/client' $url $6 $7" 2>/dev/null
    sed -i "s|^command: .*|command: PEER=$4 ./client $url $6 $7|" "$out/$name.traffic"
}

talk echo 8192 python node "messages both ways, compressed, and a close of the client" /echo 3
talk chat 8192 node python "a subprotocol; the other way round" /chat 3
talk large 600 python python "long messages, mostly not seen" /large 2
talk parts 8192 python python "fragments, with pings between" /parts 2
talk parts_node 8192 node node "fragments, uncompressed ones and pings" /parts 2
talk many 8192 node python "many messages in few calls" /many 40
talk fail 8192 python node "1011: an error for both" /fail 1
talk leave 8192 node python "1001: the server goes away" /leave 1
talk huge 600 python node "1009: a message that is too big, the client's mistake" /huge 1
talk abort 8192 python python "the server goes without a word" /abort 1
talk gone 8192 node node "the client goes without a word" /gone 1
