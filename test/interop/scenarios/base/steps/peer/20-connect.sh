# Brings IPsec up, then L2TP and PPP in it.
. /lab/scenario/steps/lib.sh
start=$(date +%s.%N)
ipsec up gw
ipsec status gw
[ -n "$(child_spis)" ]

echo "c gw" >/run/xl2tpd/l2tp-control
has_address() { ip -4 -o address show dev ppp0 2>/dev/null | grep -q inet; }
wait_until 30 has_address
echo "seconds $(date +%s.%N | awk -v start="$start" '{ print $1 - start }')"
ip -4 address show dev ppp0
grep -q '^rcvd .*<auth chap MS-v2>' /lab/results/pppd.log
# pppd says so only after it has checked the gateway's own proof (RFC 2759, 8.7).
grep -q '^CHAP authentication succeeded' /lab/results/pppd.log
echo "address $(ip -4 -o address show dev ppp0 | sed 's/.*inet \([0-9.]*\).*/\1/')"

# A split tunnel: the cloud network goes through it.
ip route add 10.0.0.0/24 dev ppp0
