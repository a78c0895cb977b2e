#!/bin/bash
# Waits until the egress node of this host may send, then watches the alarms of its stage: what fails here fails the
# deployment, which stops before the next node and goes back to the version before.
#
#   WATCH   how long the alarms are watched, seconds
#   ALARMS  their names, one a line
#   STACK   the stack of the node
#   HEALTH  where the node says how it is
set -euo pipefail

begin=$(date -u +%Y-%m-%dT%H:%M:%S)
deadline=$((SECONDS + ${PATIENCE:-180}))
until curl -sf -o /dev/null "$HEALTH"; do
  if [ "$SECONDS" -ge "$deadline" ]; then
    echo "The node may not send: $(curl -s "$HEALTH" || echo 'it does not answer')" >&2
    exit 1
  fi
  sleep 1
done

# At a roll-back the alarms that caused it may still ring, and a new stack has none yet.
status=$(aws cloudformation describe-stacks --stack-name "$STACK" --query 'Stacks[0].StackStatus' --output text)
[ "$status" = UPDATE_IN_PROGRESS ] || exit 0

# An alarm that rang before says nothing of this version: what mends it must be deployable.
readarray -t names <<< "$ALARMS"
deadline=$((SECONDS + WATCH))
while true; do
  ringing=$(aws cloudwatch describe-alarms --alarm-names "${names[@]}" --state-value ALARM \
    --query "MetricAlarms[?StateUpdatedTimestamp>='$begin'].AlarmName" --output text)
  if [ -n "$ringing" ]; then
    echo "Stopped by an alarm that rings since this version sends: $ringing" >&2
    exit 1
  fi
  [ "$SECONDS" -lt "$deadline" ] || exit 0
  sleep 15
done
