"""SES v2 by boto3: what a product's set-up and sending do. The endpoint and the key come from the environment."""
import json
import os

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


ses.create_email_identity(EmailIdentity="boto3.example", Tags=[{"Key": "team", "Value": "shop"}])
identity = ses.get_email_identity(EmailIdentity="boto3.example")
assert identity["IdentityType"] == "DOMAIN" and identity["DkimAttributes"]["Tokens"], identity
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
