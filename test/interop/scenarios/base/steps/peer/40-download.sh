# Fetches the file through the tunnel.
. /lab/scenario/steps/lib.sh
curl -sS --fail --max-time 100 --interface ppp0 -o /tmp/blob -w 'octets %{size_download}\nseconds %{time_total}\n' \
    http://10.0.0.2:8000/blob
echo "sha256 $(sha256sum /tmp/blob | cut -d ' ' -f 1)"
rm /tmp/blob
