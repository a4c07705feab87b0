# Ends the daemons; whatever they still say then must not reach the wire.
. /lab/scenario/steps/lib.sh
ipsec stop
stop_xl2tpd
echo "leaks $(leaks)"
