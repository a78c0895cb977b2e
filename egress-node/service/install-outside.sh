#!/bin/bash
# Makes a host outside AWS (Debian 12) an egress node. Run as root in the directory of the node's kit, beside which
# node.key and node.pem are. May be run again: what is there is kept or replaced.
#
# Files in place of downloads, for hosts that reach no others:
#   NODE_ARCHIVE    node-v….tar.xz    SIGNING_HELPER  aws_signing_helper    AGENT_PACKAGE  amazon-cloudwatch-agent.deb
set -euo pipefail

NODE_VERSION=24.21.0
HELPER_VERSION=1.7.0

fail() { echo "install-outside.sh: $1" >&2; exit 1; }
step() { echo "== $1"; }

[ "$(id -u)" = 0 ] || fail 'Run it as root.'
for file in egress.mjs egress.env aws.config agent.json common-config.toml postern@.service node.key node.pem; do
  [ -f "$file" ] || fail "$file is not here. Copy the whole kit, and the node's key and certificate."
done
case $(uname -m) in
  x86_64) node_arch=x64 helper_arch=X86_64 deb_arch=amd64 ;;
  aarch64) node_arch=arm64 helper_arch=Aarch64 deb_arch=arm64 ;;
  *) fail "There is no Node $NODE_VERSION for $(uname -m)." ;;
esac
name=$(sed -n 's/^POSTERN_NODE=//p' egress.env)

step 'packages'
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -qy --no-install-recommends ca-certificates curl openssl xz-utils unbound logrotate iproute2

step 'certificate'
subject=$(openssl x509 -in node.pem -noout -subject -nameopt multiline | sed -n 's/ *commonName *= //p')
[ "$subject" = "$name" ] || fail "node.pem is the certificate of \"$subject\", and this is the kit of \"$name\"."
openssl x509 -in node.pem -noout -checkend 0 > /dev/null || fail 'node.pem has expired. Make another.'
openssl x509 -in node.pem -noout -ext basicConstraints 2> /dev/null | grep 'CA:FALSE' > /dev/null ||
  fail 'node.pem lacks basicConstraints=critical,CA:FALSE, without which AWS refuses it. Make another.'
[ "$(openssl x509 -in node.pem -noout -pubkey)" = "$(openssl pkey -in node.key -pubout)" ] ||
  fail 'node.key is not the key of node.pem.'

step 'port 25 and addresses'
if ! systemctl is-active -q postern@egress && holder=$(ss -Hltnp 'sport = :25') && [ -n "$holder" ]; then
  fail "Port 25 is taken: $holder. Remove that mail server, as by: apt-get purge exim4-base postfix"
fi
while IFS='=' read -r addresses _; do
  bind=${addresses#*@}
  ip -o address | grep -F " $bind/" > /dev/null || fail "This host does not have the address $bind, which its kit names."
done < <(sed -n 's/^POSTERN_SOURCES=//p' egress.env | tr ',' '\n')

step "Node $NODE_VERSION"
if [ "$(/usr/local/bin/node --version 2> /dev/null)" != "v$NODE_VERSION" ]; then
  archive=node-v$NODE_VERSION-linux-$node_arch.tar.xz
  if [ -z "${NODE_ARCHIVE:-}" ]; then
    NODE_ARCHIVE=$(mktemp -d)/$archive
    curl -fsSL -o "$NODE_ARCHIVE" "https://nodejs.org/dist/v$NODE_VERSION/$archive"
    curl -fsSL "https://nodejs.org/dist/v$NODE_VERSION/SHASUMS256.txt" | grep " $archive\$" |
      (cd "$(dirname "$NODE_ARCHIVE")" && sha256sum -c -)
  fi
  tar -xf "$NODE_ARCHIVE" -C /usr/local --strip-components=1 --wildcards '*/bin/node'
fi

step 'credentials by certificate'
if [ ! -x /usr/local/bin/aws_signing_helper ]; then
  if [ -z "${SIGNING_HELPER:-}" ]; then
    SIGNING_HELPER=$(mktemp)
    curl -fsSL -o "$SIGNING_HELPER" \
      "https://rolesanywhere.amazonaws.com/releases/$HELPER_VERSION/$helper_arch/Linux/aws_signing_helper"
  fi
  install -m 755 "$SIGNING_HELPER" /usr/local/bin/aws_signing_helper
fi
id -u postern > /dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin postern
install -d /etc/postern /opt/postern
install -d -o postern /var/log/postern
install -o postern -m 400 node.key /etc/postern/node.key
install -m 644 node.pem aws.config /etc/postern/
install -m 640 -g postern egress.env /etc/postern/egress.env

step 'resolver'
# Block lists refuse the resolvers of hosters and public ones.
printf 'server:\n  interface: 127.0.0.1\n  access-control: 127.0.0.0/8 allow\n' > /etc/unbound/unbound.conf.d/postern.conf
systemctl enable --now unbound
systemctl restart unbound

step 'log'
cat > /etc/logrotate.d/postern << 'ROTATE'
/var/log/postern/*.log {
  size 100M
  rotate 2
  copytruncate
  missingok
}
ROTATE
agent=/opt/aws/amazon-cloudwatch-agent
if [ ! -x $agent/bin/amazon-cloudwatch-agent-ctl ]; then
  if [ -z "${AGENT_PACKAGE:-}" ]; then
    AGENT_PACKAGE=$(mktemp --suffix .deb)
    curl -fsSL -o "$AGENT_PACKAGE" \
      "https://amazoncloudwatch-agent.s3.amazonaws.com/debian/$deb_arch/latest/amazon-cloudwatch-agent.deb"
  fi
  dpkg -i "$AGENT_PACKAGE"
fi
install -m 644 common-config.toml $agent/etc/common-config.toml
install -m 644 agent.json /opt/postern/agent.json
# The agent reads keys from a file, which the helper renews before they expire.
helper=$(sed -n 's/^credential_process = \S* credential-process //p' aws.config)
cat > /etc/systemd/system/postern-credentials.service << UNIT
[Unit]
Description=Postern: credentials of the CloudWatch agent
After=network-online.target
[Service]
Environment=AWS_SHARED_CREDENTIALS_FILE=/etc/postern/aws.credentials
ExecStart=/usr/local/bin/aws_signing_helper update $helper
Restart=always
RestartSec=10
[Install]
WantedBy=multi-user.target
UNIT

step 'service'
install -m 644 ./*.mjs ./*.map /opt/postern/
install -m 644 postern@.service /etc/systemd/system/
systemctl daemon-reload
systemctl enable --now postern-credentials
$agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m onPremise -s -c file:/opt/postern/agent.json
systemctl enable postern@egress
systemctl restart postern@egress

health=${HEALTH:-http://127.0.0.1:8025/healthz}
for _ in $(seq 120); do
  if curl -sf -o /dev/null "$health"; then
    echo "The node $name may send. Its log is /var/log/postern/egress.log."
    exit 0
  fi
  sleep 1
done
tail -n 5 /var/log/postern/egress.log >&2 || true
fail 'The node may not send; the last lines of its log say why.'
