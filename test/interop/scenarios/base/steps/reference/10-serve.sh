# Makes this machine an L2TP/IPsec server with the reference stack.
. /lab/scenario/steps/lib.sh
guard_l2tp
load_modules
echo 1 >/proc/sys/net/ipv4/ip_forward
start_charon
start_xl2tpd
