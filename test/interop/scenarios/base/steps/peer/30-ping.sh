# Pings the host behind the gateway: small, and as big as the tunnel's MTU.
. /lab/scenario/steps/lib.sh
ping -c 5 -i 0.2 -W 5 10.0.0.2
ping -c 1 -W 5 -M do -s 1372 10.0.0.2
