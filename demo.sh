#!/usr/bin/env bash
# The main job on embedded defaults: builds Isthmus, lets `isthmus quickstart` write a configuration,
# and connects a client through a NAT in throw-away network namespaces; then a ping and a download go
# through the tunnel. Needs root. Leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")"

started=$SECONDS
say() { printf '==> [%3ds] %s\n' $((SECONDS - started)) "$*"; }

if [ "$(id -u)" -ne 0 ]; then
    echo "demo: namespaces and TUN devices need root: sudo ./demo.sh" >&2
    exit 1
fi

say "packages"
scripts/packages.sh gcc g++ iproute2 iputils-ping nftables curl python3 tcpdump

say "building (the first time takes some minutes)"
cargo build --release -p isthmus
bin="$(realpath "${CARGO_TARGET_DIR:-target}")/release/isthmus"

run=$(mktemp -d)
id="isd$$"
pids=()
cleanup() {
    status=$?
    trap - EXIT
    if [ "$status" -ne 0 ]; then
        for log in "$run"/*.log; do [ -s "$log" ] && { echo "--- $log"; tail -20 "$log"; }; done
    fi
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    for name in gw nat client cloud; do ip netns delete "$id-$name" 2>/dev/null || true; done
    rm -rf "$run"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

link() { # namespace-a address-a namespace-b address-b
    ip -n "$id-$1" link add "to-$3" type veth peer name "to-$1" netns "$id-$3"
    ip -n "$id-$1" addr add "$2" dev "to-$3"
    ip -n "$id-$3" addr add "$4" dev "to-$1"
    ip -n "$id-$1" link set "to-$3" up
    ip -n "$id-$3" link set "to-$1" up
}
in_ns() { local name="$1"; shift; ip netns exec "$id-$name" "$@"; }
wait_for() { # seconds description command...
    local left=$(($1 * 5)) what="$2"; shift 2
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        if [ "$left" -le 0 ]; then echo "demo: gave up waiting for $what" >&2; exit 1; fi
        sleep 0.2
    done
}

say "four namespaces: client -- NAT -- gateway -- cloud"
for name in gw nat client cloud; do
    ip netns add "$id-$name"
    ip -n "$id-$name" link set lo up
done
link client 192.168.77.2/24 nat 192.168.77.1/24
link nat 203.0.113.2/24 gw 203.0.113.1/24
link gw 172.20.0.1/24 cloud 172.20.0.2/24
ip -n "$id-client" route add default via 192.168.77.1
ip -n "$id-cloud" route add default via 172.20.0.1
in_ns nat sysctl -qw net.ipv4.ip_forward=1
in_ns nat nft -f - <<NFT
table ip demo {
    chain out {
        type nat hook postrouting priority srcnat
        oifname "to-gw" masquerade
    }
}
NFT

say "isthmus quickstart"
in_ns gw "$bin" quickstart --dir "$run/etc" --user alice --address 203.0.113.1 >"$run/quickstart.log"
# A socket of this run's own, so that a gateway that runs on this machine is left alone.
sed -i "s|^\[gateway\]|&\ncontrol_socket = \"$run/control.sock\"|" "$run/etc/isthmus.toml"
sed -n 's/^password = "\(.*\)"/\1/p' "$run/etc/users.toml" >"$run/password"
chmod 600 "$run/password"
say "gateway: isthmus run"
# Not by in_ns: a function in the background is a shell around the program, and ending it would not end that.
ip netns exec "$id-gw" "$bin" run --config "$run/etc/isthmus.toml" >"$run/gateway.log" 2>&1 &
pids+=($!)
wait_for 20 "the gateway" "$bin" status --socket "$run/control.sock"

say "outside capture: nothing may cross UDP 1701 in the clear"
ip netns exec "$id-nat" tcpdump -q -n -U -i to-gw -w "$run/clear.pcap" udp port 1701 >"$run/tcpdump.log" 2>&1 &
pids+=($!)
wait_for 10 "the capture" grep -q "listening on" "$run/tcpdump.log"

say "client: isthmus client connect, through the NAT"
ip netns exec "$id-client" "$bin" client connect --server 203.0.113.1 --psk-file "$run/etc/psk" \
    --user alice --password-file "$run/password" --routes 172.20.0.0/24 \
    >"$run/client.log" 2>&1 &
pids+=($!)
tunnel_up() { in_ns client ip -4 -o route get 172.20.0.2 | grep -qv "via 192.168.77.1"; }
wait_for 30 "the tunnel" tunnel_up
cat "$run/client.log"

say "ping through the tunnel"
in_ns client ping -n -c 3 -i 0.3 -W 2 172.20.0.2

say "download of 10 MB through the tunnel"
mkdir "$run/www"
head -c 10000000 /dev/urandom >"$run/www/file"
ip netns exec "$id-cloud" python3 -m http.server --directory "$run/www" --bind 172.20.0.2 80 \
    >"$run/http.log" 2>&1 &
pids+=($!)
wait_for 10 "the web server" in_ns cloud curl -s -o /dev/null http://172.20.0.2/
in_ns client curl -sS --max-time 60 -o "$run/got" -w '%{size_download} bytes in %{time_total} s\n' \
    http://172.20.0.2/file
cmp "$run/www/file" "$run/got"
say "the file arrived whole"

"$bin" sessions --socket "$run/control.sock"
clear=$(tcpdump -n -r "$run/clear.pcap" 2>/dev/null | wc -l)
[ "$clear" -eq 0 ] || { echo "demo: $clear packets crossed in the clear" >&2; exit 1; }
say "done: connected through a NAT, ping and download passed, nothing in the clear"
