"""SES v1 by boto3, as older products use it. The endpoint and the key come from the environment."""
import json
import os

import boto3
from botocore.exceptions import ClientError

ses = boto3.client("ses", endpoint_url=os.environ["ENDPOINT"], region_name="us-east-1")


def refused(call, code, **members):
    """The call must fail by this error, which boto3 raises under its own name."""
    try:
        call(**members)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return
    raise AssertionError(f"{code} was expected")


ses.verify_domain_identity(Domain="v1.example")
tokens = ses.verify_domain_dkim(Domain="v1.example")["DkimTokens"]
assert len(tokens) == 3, tokens
assert "v1.example" in ses.list_identities(IdentityType="Domain")["Identities"]
attributes = ses.get_identity_verification_attributes(Identities=["v1.example"])["VerificationAttributes"]
assert attributes["v1.example"]["VerificationStatus"] in ("Success", "Pending"), attributes
dkim = ses.get_identity_dkim_attributes(Identities=["v1.example"])["DkimAttributes"]["v1.example"]
assert dkim["DkimTokens"] == tokens, dkim
ses.set_identity_feedback_forwarding_enabled(Identity="v1.example", ForwardingEnabled=False)
ses.set_identity_mail_from_domain(Identity="v1.example", MailFromDomain="bounce.v1.example")
ses.create_configuration_set(ConfigurationSet={"Name": "v1"})
ses.create_template(
    Template={"TemplateName": "v1", "SubjectPart": "Hello {{name}}", "TextPart": "Hello {{name}}"}
)
assert ses.get_template(TemplateName="v1")["Template"]["SubjectPart"] == "Hello {{name}}"
ids = [
    ses.send_email(
        Source="a@v1.example",
        Destination={"ToAddresses": ["simple@v1.rcpt.example"]},
        Message={"Subject": {"Data": "Zażółć"}, "Body": {"Text": {"Data": "Hello"}}},
        Tags=[{"Name": "campaign", "Value": "spring"}],
    )["MessageId"],
    ses.send_raw_email(
        RawMessage={"Data": b"From: a@v1.example\r\nTo: raw@v1.rcpt.example\r\nSubject: Raw\r\n\r\nHello\r\n"}
    )["MessageId"],
    ses.send_templated_email(
        Source="a@v1.example",
        Destination={"ToAddresses": ["template@v1.rcpt.example"]},
        Template="v1",
        TemplateData=json.dumps({"name": "Ann"}),
    )["MessageId"],
]
assert all(len(id) == 60 for id in ids), ids
bulk = ses.send_bulk_templated_email(
    Source="a@v1.example",
    Template="v1",
    DefaultTemplateData=json.dumps({"name": "you"}),
    Destinations=[{"Destination": {"ToAddresses": [f"bulk{i}@v1.rcpt.example"]}} for i in range(2)],
)["Status"]
assert [entry["Status"] for entry in bulk] == ["Success"] * 2, bulk
assert ses.get_send_quota()["MaxSendRate"] > 0
ses.get_send_statistics()
refused(ses.get_template, "TemplateDoesNotExist", TemplateName="none")
refused(
    ses.send_email,
    "MessageRejected",
    Source="a@nobody.example",
    Destination={"ToAddresses": ["b@v1.rcpt.example"]},
    Message={"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}},
)
refused(ses.list_receipt_rule_sets, "UnsupportedOperation")
ses.delete_identity(Identity="v1.example")
print(json.dumps([f"{who}@v1.rcpt.example" for who in ("simple", "raw", "template", "bulk0", "bulk1")]))
