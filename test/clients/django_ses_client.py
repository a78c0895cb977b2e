"""Django's mail by django-ses, by SES v2 (its USE_SES_V2)."""
import json
import os
from urllib.parse import urlsplit

import django
from django.conf import settings

settings.configure(
    EMAIL_BACKEND="django_ses.SESBackend",
    USE_SES_V2=True,
    AWS_SES_REGION_NAME="us-east-1",
    AWS_SES_REGION_ENDPOINT_URL=os.environ["ENDPOINT"],
    AWS_SES_REGION_ENDPOINT=urlsplit(os.environ["ENDPOINT"]).netloc,
    AWS_SES_AUTO_THROTTLE=None,
    SECRET_KEY="unused",
)
django.setup()

from django.core.mail import send_mail  # noqa: E402

assert send_mail("Hello", "Hello", "shop@clients.example", ["to@django-ses.rcpt.example"]) == 1
print(json.dumps(["to@django-ses.rcpt.example"]))
