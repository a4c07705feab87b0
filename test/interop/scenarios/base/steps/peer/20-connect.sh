# Brings IPsec up, then L2TP and PPP in it.
. /lab/scenario/steps/lib.sh
start=$(date +%s.%N)
ipsec up gw
ipsec status gw
[ -n "$(child_spis)" ]

connect_l2tp
echo "seconds $(date +%s.%N | awk -v start="$start" '{ print $1 - start }')"
