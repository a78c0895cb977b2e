"""Django's mail by django-anymail, which sends by SES v2."""
import json
import os

import django
from django.conf import settings

settings.configure(
    EMAIL_BACKEND="anymail.backends.amazon_ses.EmailBackend",
    ANYMAIL={
        "AMAZON_SES_CLIENT_PARAMS": {"endpoint_url": os.environ["ENDPOINT"], "region_name": "us-east-1"},
    },
    SECRET_KEY="unused",
)
django.setup()

from django.core.mail import EmailMultiAlternatives  # noqa: E402

message = EmailMultiAlternatives(
    "Hello", "Hello", "Shop <shop@clients.example>", ["to@anymail.rcpt.example"], cc=["cc@anymail.rcpt.example"]
)
message.attach_alternative("<p>Hello</p>", "text/html")
message.attach("a.txt", "attached", "text/plain")
message.tags = ["spring"]
message.send()
assert message.anymail_status.status == {"queued"}, message.anymail_status
assert len(message.anymail_status.message_id) == 60, message.anymail_status
print(json.dumps(["to@anymail.rcpt.example", "cc@anymail.rcpt.example"]))
