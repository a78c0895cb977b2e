"""SES v2 by boto3: what a product's set-up and sending do. The endpoint and the key come from the environment."""
import json
import os
import socket
import struct

import boto3
from botocore.exceptions import ClientError

ses = boto3.client("sesv2", endpoint_url=os.environ["ENDPOINT"], region_name="us-east-1")


def refused(call, code, **members):
    """The call must fail by this error, which boto3 raises under its own name."""
    try:
        call(**members)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return
    raise AssertionError(f"{code} was expected")


def txt(name):
    """The text that the name server of the zone of DKIM keys has under a name, asked by TCP."""
    host, port = os.environ["DKIM_ZONE_DNS"].split(":")
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    question = struct.pack(">6H", 7, 0, 1, 0, 0, 0) + labels + struct.pack(">2H", 16, 1)
    with socket.create_connection((host, int(port)), 10) as peer, peer.makefile("rb") as answers:
        peer.sendall(struct.pack(">H", len(question)) + question)
        answer = answers.read(struct.unpack(">H", answers.read(2))[0])
    assert struct.unpack(">6H", answer[:12])[3] == 1, name
    strings, text = answer[len(question) + len(labels) + 10 :], b""
    while strings:
        text, strings = text + strings[1 : 1 + strings[0]], strings[1 + strings[0] :]
    return text.decode()


ses.create_email_identity(EmailIdentity="boto3.example", Tags=[{"Key": "team", "Value": "shop"}])
identity = ses.get_email_identity(EmailIdentity="boto3.example")
assert identity["IdentityType"] == "DOMAIN", identity

# The usual module: three CNAMEs from the tokens. A botocore of before 2026 leaves SigningHostedZone out of the answer.
dkim = identity["DkimAttributes"]
zone = dkim.get("SigningHostedZone", os.environ["DKIM_ZONE"])
assert len(dkim["Tokens"]) == 3 and zone == os.environ["DKIM_ZONE"], dkim
cnames = {f"{token}._domainkey.boto3.example": f"{token}.{zone}" for token in dkim["Tokens"]}
keys = {txt(target) for target in cnames.values()}
assert len(keys) == 1 and keys.pop().startswith("v=DKIM1; k=rsa; p="), cnames
again = ses.put_email_identity_dkim_signing_attributes(
    EmailIdentity="boto3.example", SigningAttributesOrigin="AWS_SES"
)
assert again["DkimTokens"] == dkim["Tokens"], again
refused(ses.create_email_identity, "AlreadyExistsException", EmailIdentity="boto3.example")
ses.create_configuration_set(ConfigurationSetName="boto3")
ses.create_email_template(
    TemplateName="boto3",
    TemplateContent={"Subject": "Hello {{name}}", "Text": "Hello {{name}}", "Html": "<p>Hello {{name}}</p>"},
)
assert ses.get_account()["SendingEnabled"]
ids = [
    ses.send_email(
        FromEmailAddress="News <news@boto3.example>",
        Destination={"ToAddresses": ["simple@boto3.rcpt.example"]},
        Content={
            "Simple": {
                "Subject": {"Data": "Zażółć", "Charset": "UTF-8"},
                "Body": {"Text": {"Data": "Zażółć gęślą jaźń"}},
                "Attachments": [{"FileName": "a.txt", "RawContent": b"attached"}],
            }
        },
        ConfigurationSetName="boto3",
        EmailTags=[{"Name": "campaign", "Value": "spring"}],
    )["MessageId"],
    ses.send_email(
        Content={
            "Raw": {
                "Data": b"From: news@boto3.example\r\nTo: raw@boto3.rcpt.example\r\nSubject: Raw\r\n\r\nHello\r\n"
            }
        }
    )["MessageId"],
    ses.send_email(
        FromEmailAddress="news@boto3.example",
        Destination={"ToAddresses": ["template@boto3.rcpt.example"]},
        Content={"Template": {"TemplateName": "boto3", "TemplateData": json.dumps({"name": "Ann"})}},
    )["MessageId"],
]
bulk = ses.send_bulk_email(
    FromEmailAddress="news@boto3.example",
    DefaultContent={"Template": {"TemplateName": "boto3", "TemplateData": json.dumps({"name": "you"})}},
    BulkEmailEntries=[{"Destination": {"ToAddresses": [f"bulk{i}@boto3.rcpt.example"]}} for i in range(3)],
)["BulkEmailEntryResults"]
assert [entry["Status"] for entry in bulk] == ["SUCCESS"] * 3, bulk
assert all(len(id) == 60 for id in ids), ids
refused(
    ses.send_email,
    "MessageRejected",
    FromEmailAddress="a@nobody.example",
    Destination={"ToAddresses": ["b@boto3.rcpt.example"]},
    Content={"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}},
)
refused(ses.get_email_identity, "NotFoundException", EmailIdentity="none.example")
print(json.dumps([f"{who}@boto3.rcpt.example" for who in ("simple", "raw", "template", "bulk0", "bulk1", "bulk2")]))
