#!/bin/bash
# Synthesises a stage and has cfn-lint (https://pypi.org/project/cfn-lint/) look at its templates. W3005 is about
# DependsOn that CDK writes beside references, which changes nothing.
#   usage: npm run lint:templates [-- stage]
set -euo pipefail
if ! lint=$(command -v cfn-lint); then
  echo 'cfn-lint is not there. Install it with: pip install cfn-lint' >&2
  exit 2
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
npx cdk synth --quiet -c "stage=${1:-prod}" -o "$out"
"$lint" --ignore-checks W3005 -- "$out"/*.template.json
