# Replaces the CHILD SA (a new quick mode) under a running ping. charon deletes the old one at once,
# as Windows does (delete_rekeyed in strongswan.conf).
. /lab/scenario/steps/lib.sh
start_ping "/lab/results/rekey-child.ping"
old=$(child_spis)
[ -n "$old" ]

ipsec stroke rekey 'gw{}'
is_new() { new=$(child_spis | grep -v "$old") && [ -n "$new" ]; }
wait_until 30 is_new
old_is_gone() { [ "$(child_sas)" = 1 ]; }
wait_until 20 old_is_gone
ping_answered 6

ipsec statusall gw
ip xfrm state
echo "old $old"
echo "new $new"
stop_ping
