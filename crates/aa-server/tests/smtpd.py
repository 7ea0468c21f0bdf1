"""A mail server for tests: accepts, refuses, puts off and dawdles, by the recipient. One JSON line for each mail on standard output.

Arguments: port, and, where it is to offer STARTTLS, certificate and key.
"""
import asyncio
import json
import ssl
import sys
from email import message_from_bytes, policy

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

seen = set()


def say(**what):
    print(json.dumps(what), flush=True)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        say(rcpt=address)
        if address.startswith("refused@"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("greylisted@") and address not in seen:
            seen.add(address)
            return "451 4.7.1 greylisted, try again"
        if address.startswith("slow@"):
            await asyncio.sleep(60)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
        say(
            to=envelope.rcpt_tos,
            sender=envelope.mail_from,
            encrypted=session.ssl is not None,
            headers={name.lower(): str(value) for name, value in mail.items()},
            text=mail.get_body(("plain",)).get_content(),
            html=mail.get_body(("html",)).get_content(),
        )
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    right = data.login == b"aa" and data.password == b"p+q@r"
    return AuthResult(success=right)


port = int(sys.argv[1])
options = {}
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    options = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": authenticate}
controller = Controller(Handler(), hostname="127.0.0.1", port=port, **options)
controller.start()
say(ready=True)
sys.stdin.read()
controller.stop()
