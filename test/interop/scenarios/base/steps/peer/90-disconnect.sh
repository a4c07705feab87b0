# Hangs up in order: PPP and L2TP first, inside IPsec, then IPsec. Nothing may remain.
. /lab/scenario/steps/lib.sh
disconnect_l2tp

ipsec down gw
no_sa() { [ -z "$(ip xfrm state)" ]; }
wait_until 10 no_sa
