# Ends the daemons; whatever they still say then must not reach the wire.
. /lab/scenario/steps/lib.sh
ipsec stop
kill "$(cat /run/xl2tpd.pid)"
xl2tpd_ended() { ! kill -0 "$(cat /run/xl2tpd.pid 2>/dev/null)" 2>/dev/null; }
wait_until 10 xl2tpd_ended
echo "leaks $(leaks)"
