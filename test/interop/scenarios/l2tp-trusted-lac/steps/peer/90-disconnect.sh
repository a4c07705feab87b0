# Hangs up. Nothing may remain.
. /lab/scenario/steps/lib.sh
disconnect_l2tp
[ -z "$(ip xfrm state)" ]
