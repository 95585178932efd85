"""Takes mail on a free port of 127.0.0.1 and prints each message as a line of JSON.

Arguments: certificate and key, for STARTTLS; none: without. The first line of stdin is {"user", "password"}.
"""

import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

login = json.loads(sys.stdin.readline())


class Handler:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = message.get_body(("plain",))
        mail = {
            "to": envelope.rcpt_tos,
            "from": envelope.mail_from,
            "subject": message["subject"],
            "text": body.get_content() if body else "",
            "tls": session.ssl is not None,
        }
        print(json.dumps(mail), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    known = data.login == login["user"].encode() and data.password == login["password"].encode()
    return AuthResult(success=known)


options = {}
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    options.update(tls_context=context, require_starttls=True)
if login["user"]:
    options.update(authenticator=authenticate, auth_required=True)


class AnyPort(Controller):
    def _trigger_server(self):
        # The parent connects to the port it was told, which is 0.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


controller = AnyPort(Handler(), hostname="127.0.0.1", port=0, **options)
controller.start()
print(controller.port, flush=True)
# Until the test ends.
sys.stdin.read()
controller.stop()
