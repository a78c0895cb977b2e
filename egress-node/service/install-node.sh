#!/bin/bash
# Makes a fresh instance (Amazon Linux 2023) an egress node: takes its Elastic IPs, one on each private address of its
# interface, then installs the service. Run as root by the user data, in the directory of the bundle.
#
#   ALLOCATIONS  allocation ids, separated by blanks
#   PUBLIC       for each of them its address
#   SUFFIXES     and `=hostname:pool+pool`
#   /etc/postern/egress.env has all settings but POSTERN_SOURCES; install-service.sh and verify-node.sh say what they
#   need.
set -euxo pipefail

read -ra allocations <<< "$ALLOCATIONS"
read -ra public <<< "$PUBLIC"
read -ra suffixes <<< "$SUFFIXES"

# IMDSv2 (EC2 user guide, "Access instance metadata").
token=$(curl -sfX PUT http://169.254.169.254/latest/api/token -H 'X-aws-ec2-metadata-token-ttl-seconds: 300')
meta() { curl -sf -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"; }
interface="network/interfaces/macs/$(meta mac)"
eni=$(meta "$interface/interface-id")
readarray -t ips < <(meta "$interface/local-ipv4s")

# The address of the interface's first private address is the way out by which this very call is made: its answer may
# be lost, so it is made again until it comes. To associate what is associated changes nothing.
sources=
for i in "${!allocations[@]}"; do
  for try in 1 2 3 4 5; do
    aws ec2 associate-address --allocation-id "${allocations[$i]}" --network-interface-id "$eni" \
      --private-ip-address "${ips[$i]}" --allow-reassociation --cli-connect-timeout 5 --cli-read-timeout 10 && break
    test "$try" -lt 5
    sleep 3
  done
  sources="$sources${sources:+,}${public[$i]}@${ips[$i]}${suffixes[$i]}"
done
echo "POSTERN_SOURCES=$sources" >> /etc/postern/egress.env

bash install-service.sh egress
bash verify-node.sh
