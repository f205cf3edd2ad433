# What every record.sh begins with, sourced by it. Sets `here` (its folder), `tests`, `work` (a folder
# that goes with it); `record` writes to `out`, which it sets itself. Arguments of record.sh name what
# is recorded, if any do.
set -euo pipefail
PATH=$PATH:/usr/sbin
here=$(cd "$(dirname "$0")" && pwd)
tests=$(cd "$here/../../.." && pwd)
capture=${CAPTURE:?set CAPTURE to the built program, e.g. target/debug/capture}
only=" $* "
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
# Workers of nginx and php-fpm are another user.
chmod 755 "$work"

# Where the recording proxy listens, and where commands are run.
proxy=127.0.0.1:28080
from=$here

# Makes files of three sizes in $work/www, always the same.
pages() {
    mkdir -p "$work/www"
    echo "a small file" >"$work/www/small.txt"
    for number in $(seq 1 20000); do echo "line $number"; done >"$work/www/large.txt"
    head -c 4000 "$work/www/large.txt" >"$work/www/medium.txt"
    touch -d '2024-01-01 00:00:00 UTC' "$work"/www/*
}

# PORTS: waits until somebody listens at each of them.
listening() {
    for port in "$@"; do
        for _ in $(seq 1 60); do
            (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
            sleep 0.5
        done
    done
}

# PROGRAM: its name and version.
version_of() {
    case $1 in
    curl) curl --version | sed -n 's/^curl \([^ ]*\).*/curl \1/p' ;;
    go) go env GOVERSION ;;
    java) echo "openjdk $(java -version 2>&1 | sed -n 's/.*version "\(.*\)".*/\1/p')" ;;
    nginx) echo "nginx/$(nginx -v 2>&1 | sed 's|.*/||')" ;;
    node) echo "node $(node --version)" ;;
    python) echo "python $(python3 -c 'import platform; print(platform.python_version())')" ;;
    esac
}

# NAME PORT KEEP SHOWS SERVER CLIENT COMMAND: records what COMMAND asks of the server at PORT.
record() {
    [ "$only" = "  " ] || [[ "$only" == *" $1 "* ]] || return 0
    echo "$1"
    (cd "$from" && PATH="$PATH:$work" timeout 30 "$capture" "$out/$1.traffic" "$proxy" "127.0.0.1:$2" "$3" "$4" "$5" "$6" "$7" >/dev/null)
}
