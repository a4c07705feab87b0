# Pings while the SAs' lifetimes end, until two CHILD SAs and one IKE SA have been replaced.
. /lab/scenario/steps/lib.sh
start_ping "/lab/results/rekey-by-time.ping"

# Counts how often what the command $1 prints became something new; while two SAs overlap, it
# prints two lines, of which the last is the newer.
children=0 ikes=0 child= ike=
look() {
    local now
    now=$(child_spis | tail -n 1)
    [ -z "$now" ] || [ "$now" = "$child" ] || { child=$now; children=$((children + 1)); }
    now=$(ike_spis | head -n 1)
    [ -z "$now" ] || [ "$now" = "$ike" ] || { ike=$now; ikes=$((ikes + 1)); }
    # The first of each is the one that was there.
    [ "$children" -ge 3 ] && [ "$ikes" -ge 2 ]
}
wait_until 120 look
ping_answered 6

ipsec statusall gw
echo "replaced $((children + ikes - 2))"
stop_ping
