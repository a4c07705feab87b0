# Replaces the IKE SA (a new main mode, as IKEv1 has no other way) under a running ping, and goes on
# until both sides have deleted the old one: a gateway that ties the CHILD SA to it breaks here.
. /lab/scenario/steps/lib.sh
start_ping "/lab/results/rekey-ike.ping"
old=$(ike_spis)
child=$(child_spis)
[ -n "$old" ]

ipsec stroke rekey 'gw[]'
is_new() { new=$(ike_spis | grep -v "$old") && [ -n "$new" ]; }
wait_until 30 is_new
old_is_gone() { [ "$(ike_sas)" = 1 ]; }
wait_until 40 old_is_gone
ping_answered 4

ipsec statusall gw
echo "old $old"
echo "new $new"
[ "$(child_spis)" = "$child" ]
stop_ping
