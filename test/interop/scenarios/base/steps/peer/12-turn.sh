# Becomes the client of the scenario that stands in the folder; xl2tpd reads what it needs of it when it
# connects.
. /lab/scenario/steps/lib.sh
ipsec stop
place_files
start_charon
