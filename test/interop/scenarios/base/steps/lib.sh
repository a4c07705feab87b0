# What the steps share. A step exits with 0 only if what its name says has happened.
set -euo pipefail

# Waits until the command after $1 succeeds, for at most $1 seconds.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        if [ "$SECONDS" -ge "$end" ]; then
            echo "gave up waiting for: $*"
            exit 1
        fi
        sleep 0.1
    done
}

not() { ! "$@"; }

# Nothing of L2TP may leave this machine unencrypted. The reference stack does that by itself: pppd
# and xl2tpd send their last words after charon has removed the SA, and now and then the first
# packet overtakes the installation of the outbound SA. A leak on the wire would then say nothing
# about the gateway, so packets of port 1701 that no IPsec policy applies to are dropped here,
# before anything starts. `leaks` tells how many there were.
guard_l2tp() {
    nft -f - <<'RULES'
table inet guard {
    counter leaks { }
    chain output {
        type filter hook output priority filter; policy accept;
        oifname "eth*" udp sport 1701 rt ipsec missing counter name leaks drop
        oifname "eth*" udp dport 1701 rt ipsec missing counter name leaks drop
    }
}
RULES
    # A guard that holds nothing back would be worse than none.
    ! echo leak 2>/dev/null >/dev/udp/203.0.113.99/1701
    [ "$(leaks)" = 1 ]
    nft reset counter inet guard leaks >/dev/null
}

leaks() {
    nft list counter inet guard leaks | sed -n 's/.*packets \([0-9]*\).*/\1/p'
}

# Loads what the first SA and session need, by making an SA that nobody uses: otherwise the kernel
# does so for two seconds between two messages of quick mode.
load_modules() {
    modprobe -a esp4 xfrm_user aesni_intel sha1_ssse3 l2tp_ppp
    ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode transport \
        enc 'cbc(aes)' "0x$(printf '00%.0s' {1..32})" \
        auth-trunc 'hmac(sha1)' "0x$(printf '00%.0s' {1..20})" 96
    ip xfrm state flush
}

# Whether charon is up and has read the one connection of ipsec.conf, which comes last.
has_connection() { ipsec statusall 2>/dev/null | grep -q 'child: '; }

start_charon() {
    ipsec start
    wait_until 20 has_connection
}

start_xl2tpd() {
    xl2tpd -D -p /run/xl2tpd.pid -C /run/xl2tpd/l2tp-control >/lab/results/xl2tpd.log 2>&1 &
    wait_until 10 test -p /run/xl2tpd/l2tp-control
}

stop_xl2tpd() {
    kill "$(cat /run/xl2tpd.pid)"
    xl2tpd_ended() { ! kill -0 "$(cat /run/xl2tpd.pid 2>/dev/null)" 2>/dev/null; }
    wait_until 10 xl2tpd_ended
}

# Takes the files of the scenario that stands in the folder, and no more the keys and the log of the
# one before.
place_files() {
    rm -f /etc/ipsec.d/{cacerts,certs,private}/*
    cp -dR --preserve=mode "/lab/scenario/hosts/$(hostname)/." /
    cat /lab/results/pppd.log >>/lab/results/pppd.before.log
    rm /lab/results/pppd.log
}

# Brings L2TP and PPP up, and sends the cloud network through them: a split tunnel.
connect_l2tp() {
    echo "c gw" >/run/xl2tpd/l2tp-control
    has_address() { ip -4 -o address show dev ppp0 2>/dev/null | grep -q inet; }
    wait_until 30 has_address
    ip -4 address show dev ppp0
    grep -q '^rcvd .*<auth chap MS-v2>' /lab/results/pppd.log
    # pppd says so only after it has checked the gateway's own proof (RFC 2759, 8.7).
    grep -q '^CHAP authentication succeeded' /lab/results/pppd.log
    echo "address $(ip -4 -o address show dev ppp0 | sed 's/.*inet \([0-9.]*\).*/\1/')"
    ip route add 10.0.0.0/24 dev ppp0
}

# Hangs PPP and L2TP up, and waits until the kernel has neither.
disconnect_l2tp() {
    echo "d gw" >/run/xl2tpd/l2tp-control
    wait_until 20 not test -e /sys/class/net/ppp0
    no_tunnel() { [ -z "$(ip l2tp show tunnel)" ]; }
    wait_until 20 no_tunnel
}

# The SPIs of the established IKE SA.
ike_spis() {
    ipsec statusall gw | sed -nE 's/.*IKEv1 SPIs: ([0-9a-f]*)_i\*? ([0-9a-f]*)_r.*(pre-shared|public) key.*/\1 \2/p'
}

# The SPIs of the CHILD SA in use.
child_spis() {
    ipsec status gw | sed -n 's/.*INSTALLED, TRANSPORT.* SPIs: \([0-9a-f]*\)_i \([0-9a-f]*\)_o.*/\1 \2/p'
}

# How many SAs of the kind, "[" for IKE and "{" for CHILD SAs, there are, in whatever state.
ike_sas() { ipsec status gw | grep -c 'gw\[[0-9]*\]: [A-Z]' || true; }
child_sas() { ipsec status gw | grep -c 'gw{[0-9]*}:  [A-Z]*, TRANSPORT' || true; }

# Pings the cloud host twice a second into the log $1 until stop_ping.
start_ping() {
    ping_log=$1
    ping -D -O -i 0.5 10.0.0.2 >"$ping_log" 2>&1 &
    ping_pid=$!
    trap 'kill "$ping_pid" 2>/dev/null || true' EXIT
    ping_answered 4
}

# Waits until $1 more requests were answered.
ping_answered() {
    local want=$(($(ping_replies) + $1))
    have_replies() { [ "$(ping_replies)" -ge "$want" ]; }
    wait_until 20 have_replies
}

ping_replies() { grep -c ' time=' "$ping_log" || true; }

stop_ping() {
    kill -INT "$ping_pid"
    wait "$ping_pid" || true
    trap - EXIT
    cat "$ping_log"
}
