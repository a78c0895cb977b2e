"""SES v2 by the AWS CLI of this interpreter."""
import json
import os
import subprocess
import sys


def aws(*words):
    """Runs a command of the CLI and gives its answer."""
    command = [sys.executable, "-m", "awscli", "sesv2", *words]
    command += ["--endpoint-url", os.environ["ENDPOINT"], "--region", "us-east-1", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else {}


aws("create-email-identity", "--email-identity", "cli.example")
identity = aws("get-email-identity", "--email-identity", "cli.example")
assert identity["IdentityType"] == "DOMAIN" and len(identity["DkimAttributes"]["Tokens"]) == 3, identity
assert aws("get-account")["SendQuota"]["MaxSendRate"] > 0
sent = aws(
    "send-email", "--from-email-address", "a@cli.example",
    "--destination", "ToAddresses=simple@cli.rcpt.example",
    "--content", "Simple={Subject={Data=Hello},Body={Text={Data=Hello}}}",
)
assert len(sent["MessageId"]) == 60, sent
print(json.dumps(["simple@cli.rcpt.example"]))
