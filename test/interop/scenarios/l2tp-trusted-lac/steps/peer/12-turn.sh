# Becomes the trusted LAC: nothing holds its L2TP back, and charon, which goes on, has nothing to do.
. /lab/scenario/steps/lib.sh
place_files
nft flush chain inet guard output
stop_xl2tpd
start_xl2tpd
