# Hangs up in order: PPP and L2TP first, inside IPsec, then IPsec. Nothing may remain.
. /lab/scenario/steps/lib.sh
echo "d gw" >/run/xl2tpd/l2tp-control
wait_until 20 not test -e /sys/class/net/ppp0
no_tunnel() { [ -z "$(ip l2tp show tunnel)" ]; }
wait_until 20 no_tunnel

ipsec down gw
no_sa() { [ -z "$(ip xfrm state)" ]; }
wait_until 10 no_sa
