# Brings L2TP and PPP up without IPsec.
. /lab/scenario/steps/lib.sh
[ -z "$(ip xfrm state)" ]
start=$(date +%s.%N)
connect_l2tp
echo "seconds $(date +%s.%N | awk -v start="$start" '{ print $1 - start }')"
