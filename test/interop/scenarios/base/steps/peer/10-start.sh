# Starts the client's daemons; nothing is sent yet.
. /lab/scenario/steps/lib.sh
guard_l2tp
load_modules
start_charon
start_xl2tpd
