#!/bin/bash
# Installs a process of Postern as a service of systemd on a fresh instance (Amazon Linux 2023), and ships its log.
# Run as root in the directory of the bundle, with the name of the service, as `egress`.
#
#   AGENT  configuration of the CloudWatch agent
#   /etc/postern/<service>.env has its settings.
set -euxo pipefail

service=$1

mkdir -p /etc/logrotate.d
cat > /etc/logrotate.d/postern <<'ROTATE'
/var/log/postern/*.log {
  size 100M
  rotate 2
  copytruncate
}
ROTATE
printf %s "$AGENT" > /opt/postern/agent.json
/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c file:/opt/postern/agent.json

useradd --system --no-create-home --shell /sbin/nologin postern
install -d /var/log/postern
cp postern@.service /etc/systemd/system/
systemctl enable --now "postern@$service"
# What does not stay up fails the deployment, which goes back to the version before.
sleep 10
systemctl is-active "postern@$service"
# Between two starts of one that ends at once it is active, too.
test "$(systemctl show --property NRestarts --value "postern@$service")" = 0
