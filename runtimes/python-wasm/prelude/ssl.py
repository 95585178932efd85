"""The module ssl for programs that send requests. The node has the TLS, and checks certificates with the roots of its system.
Whatever would change that is an error. No certificate can be seen here."""

import enum
import errno
import os
import socket
from collections import namedtuple

# The beginning is looked at by packages that need a version.
OPENSSL_VERSION = "OpenSSL 3.0.0, or what takes its place: the node speaks TLS"
OPENSSL_VERSION_INFO = _OPENSSL_API_VERSION = (3, 0, 0, 0, 0)
OPENSSL_VERSION_NUMBER = 0x30000000
HAS_SNI = HAS_ALPN = HAS_ECDH = HAS_NEVER_CHECK_COMMON_NAME = HAS_TLSv1_2 = HAS_TLSv1_3 = True
HAS_NPN = HAS_SSLv2 = HAS_SSLv3 = HAS_TLSv1 = HAS_TLSv1_1 = HAS_PSK = False
CHANNEL_BINDING_TYPES = []

ALWAYS_CHECKED = "the node checks all certificates with the roots of its system"
UNSEEN = "the runtime python-wasm sees no certificates: the node checks them"
NO_TLS = "the runtime python-wasm has no TLS of its own, only requests by https"
OTHER_RUNTIME = "deploy the function with the runtime python, which has TLS of its own"


class TLSVersion(enum.IntEnum):
    MINIMUM_SUPPORTED = -2
    SSLv3 = 768
    TLSv1 = 769
    TLSv1_1 = 770
    TLSv1_2 = 771
    TLSv1_3 = 772
    MAXIMUM_SUPPORTED = -1


class VerifyMode(enum.IntEnum):
    CERT_NONE = 0
    CERT_OPTIONAL = 1
    CERT_REQUIRED = 2


class VerifyFlags(enum.IntFlag):
    VERIFY_DEFAULT = 0
    VERIFY_CRL_CHECK_LEAF = 0x4
    VERIFY_CRL_CHECK_CHAIN = 0xc
    VERIFY_X509_STRICT = 0x20
    VERIFY_ALLOW_PROXY_CERTS = 0x40
    VERIFY_X509_TRUSTED_FIRST = 0x8000
    VERIFY_X509_PARTIAL_CHAIN = 0x80000


class Options(enum.IntFlag):
    OP_IGNORE_UNEXPECTED_EOF = 0x80
    OP_LEGACY_SERVER_CONNECT = 0x4
    OP_NO_TICKET = 0x4000
    OP_NO_COMPRESSION = 0x20000
    OP_SINGLE_ECDH_USE = OP_SINGLE_DH_USE = OP_NO_SSLv2 = 0
    OP_ENABLE_MIDDLEBOX_COMPAT = 0x100000
    OP_CIPHER_SERVER_PREFERENCE = 0x400000
    OP_NO_SSLv3 = 0x2000000
    OP_NO_TLSv1 = 0x4000000
    OP_NO_TLSv1_2 = 0x8000000
    OP_NO_TLSv1_1 = 0x10000000
    OP_NO_TLSv1_3 = 0x20000000
    OP_NO_RENEGOTIATION = 0x40000000
    OP_ALL = 0x80000050


class _SSLMethod(enum.IntEnum):
    PROTOCOL_TLS = PROTOCOL_SSLv23 = 2
    PROTOCOL_TLSv1 = 3
    PROTOCOL_TLSv1_1 = 4
    PROTOCOL_TLSv1_2 = 5
    PROTOCOL_TLS_CLIENT = 16
    PROTOCOL_TLS_SERVER = 17


class SSLErrorNumber(enum.IntEnum):
    SSL_ERROR_SSL = 1
    SSL_ERROR_WANT_READ = 2
    SSL_ERROR_WANT_WRITE = 3
    SSL_ERROR_WANT_X509_LOOKUP = 4
    SSL_ERROR_SYSCALL = 5
    SSL_ERROR_ZERO_RETURN = 6
    SSL_ERROR_WANT_CONNECT = 7
    SSL_ERROR_EOF = 8
    SSL_ERROR_INVALID_ERROR_CODE = 10


for each in (VerifyMode, VerifyFlags, Options, _SSLMethod, SSLErrorNumber):
    globals().update(each.__members__)


class Purpose(enum.Enum):
    SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
    CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"


# === errors ===


class SSLError(OSError):
    library = reason = None


class SSLZeroReturnError(SSLError):
    pass


class SSLWantReadError(SSLError):
    pass


class SSLWantWriteError(SSLError):
    pass


class SSLSyscallError(SSLError):
    pass


class SSLEOFError(SSLError):
    pass


class SSLCertVerificationError(SSLError, ValueError):
    pass


CertificateError = SSLCertVerificationError
socket_error = OSError


def refuse(why):
    raise SSLError(errno.ENOTSUP, f"{why}: {OTHER_RUNTIME}")


# === contexts ===


class SSLSocket(socket.socket):
    """A connection whose requests the node sends by https."""

    context = server_hostname = _sslobj = None
    server_side = session = session_reused = False

    def getpeercert(self, binary_form=False):
        refuse(UNSEEN)

    get_channel_binding = get_verified_chain = get_unverified_chain = getpeercert

    def do_handshake(self, block=False):
        pass

    def selected_alpn_protocol(self):
        return "http/1.1"

    def nothing(self):
        return None

    cipher = shared_ciphers = compression = version = selected_npn_protocol = nothing

    def pending(self):
        return sum(map(len, self._response))

    def read(self, length=1024, buffer=None):
        return self.recv(length) if buffer is None else self.recv_into(buffer, length)

    write = socket.socket.send

    def unwrap(self):
        return self


class MemoryBIO:
    def __init__(self, *arguments, **keywords):
        refuse(NO_TLS)


class SSLObject(MemoryBIO):
    pass


class SSLSession(MemoryBIO):
    pass


class SSLContext:
    sslsocket_class, sslobject_class = SSLSocket, SSLObject

    def __init__(self, protocol=None):
        self.protocol = _SSLMethod.PROTOCOL_TLS if protocol is None else _SSLMethod(protocol)
        is_client = self.protocol is _SSLMethod.PROTOCOL_TLS_CLIENT
        self._verify_mode = VerifyMode.CERT_REQUIRED if is_client else VerifyMode.CERT_NONE
        self._check_hostname = is_client
        self.options = Options.OP_ALL | Options.OP_NO_SSLv3 | Options.OP_NO_COMPRESSION
        self.verify_flags = VerifyFlags.VERIFY_X509_TRUSTED_FIRST
        self.minimum_version, self.maximum_version = TLSVersion.TLSv1_2, TLSVersion.MAXIMUM_SUPPORTED
        self.post_handshake_auth = self.hostname_checks_common_name = False
        self.keylog_filename = self.sni_callback = None
        self.security_level, self.num_tickets = 2, 2

    @property
    def verify_mode(self):
        return self._verify_mode

    @verify_mode.setter
    def verify_mode(self, mode):
        mode = VerifyMode(mode)
        if mode is VerifyMode.CERT_NONE and self._check_hostname:
            raise ValueError("Cannot set verify_mode to CERT_NONE when check_hostname is enabled.")
        self._verify_mode = mode

    @property
    def check_hostname(self):
        return self._check_hostname

    @check_hostname.setter
    def check_hostname(self, is_checked):
        self._check_hostname = bool(is_checked)
        if is_checked and self._verify_mode is VerifyMode.CERT_NONE:
            self._verify_mode = VerifyMode.CERT_REQUIRED

    def nothing(self, *arguments, **keywords):
        pass

    set_ciphers = set_alpn_protocols = set_npn_protocols = set_ecdh_curve = load_default_certs = set_default_verify_paths = nothing

    def get_ciphers(self):
        return []

    def get_ca_certs(self, binary_form=False):
        return []

    def cert_store_stats(self):
        return {"x509": 0, "crl": 0, "x509_ca": 0}

    session_stats = cert_store_stats

    def load_verify_locations(self, cafile=None, capath=None, cadata=None):
        if cafile is None and capath is None and cadata is None:
            raise TypeError("cafile, capath and cadata cannot be all omitted")
        # The roots of certifi are those that systems have.
        if cadata or capath or os.path.basename(os.path.dirname(os.fsdecode(cafile))) != "certifi":
            refuse(f"{ALWAYS_CHECKED}, and with no others")

    def load_cert_chain(self, certfile, keyfile=None, password=None):
        refuse("the node connects without a certificate of the function's own")

    def wrap_socket(self, sock, server_side=False, do_handshake_on_connect=True, suppress_ragged_eofs=True, server_hostname=None,
                    session=None):
        if server_side or isinstance(sock, SSLSocket) or not isinstance(sock, socket.socket):
            refuse(NO_TLS)
        if self._verify_mode is VerifyMode.CERT_NONE:
            refuse(f"{ALWAYS_CHECKED}, and that cannot be switched off")
        if self._check_hostname and not server_hostname:
            raise ValueError("check_hostname requires server_hostname")
        host = plain(sock.getpeername()[0])
        if server_hostname and plain(server_hostname) != host:
            refuse(f"the request goes to {host}, whose certificate the node checks, and not that of {server_hostname}")
        sock.__class__ = self.sslsocket_class
        sock._is_https, sock.context, sock.server_hostname = True, self, server_hostname
        return sock

    def wrap_bio(self, *arguments, **keywords):
        refuse(NO_TLS)


def plain(host):
    """The form in which names are compared."""
    host = host.decode() if isinstance(host, bytes) else host
    host = host.strip("[]").rstrip(".").lower()
    return host if host.isascii() else host.encode("idna").decode()


def create_default_context(purpose=Purpose.SERVER_AUTH, *, cafile=None, capath=None, cadata=None):
    is_client = purpose is Purpose.SERVER_AUTH
    context = SSLContext(_SSLMethod.PROTOCOL_TLS_CLIENT if is_client else _SSLMethod.PROTOCOL_TLS_SERVER)
    context.verify_flags |= VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | VerifyFlags.VERIFY_X509_STRICT
    if cafile or capath or cadata:
        context.load_verify_locations(cafile, capath, cadata)
    return context


def _create_unverified_context(protocol=None, *, cert_reqs=VerifyMode.CERT_NONE, check_hostname=False, purpose=Purpose.SERVER_AUTH,
                               certfile=None, keyfile=None, cafile=None, capath=None, cadata=None):
    context = SSLContext(_SSLMethod.PROTOCOL_TLS_CLIENT if protocol is None else protocol)
    context.check_hostname = check_hostname
    context.verify_mode = cert_reqs
    if cafile or capath or cadata:
        context.load_verify_locations(cafile, capath, cadata)
    if certfile or keyfile:
        context.load_cert_chain(certfile, keyfile)
    return context


_create_default_https_context = create_default_context
_create_stdlib_context = _create_unverified_context

# === the rest ===

DefaultVerifyPaths = namedtuple("DefaultVerifyPaths", "cafile capath openssl_cafile_env openssl_cafile openssl_capath_env openssl_capath")
PEM_HEADER, PEM_FOOTER = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def get_default_verify_paths():
    return DefaultVerifyPaths(None, None, "SSL_CERT_FILE", "", "SSL_CERT_DIR", "")


def get_server_certificate(*arguments, **keywords):
    refuse(UNSEEN)


def DER_cert_to_PEM_cert(certificate):
    import base64
    text = base64.standard_b64encode(certificate).decode()
    return "\n".join([PEM_HEADER, *(text[at:at + 64] for at in range(0, len(text), 64)), PEM_FOOTER, ""])


def PEM_cert_to_DER_cert(text):
    text = text.strip()
    if not text.startswith(PEM_HEADER) or not text.endswith(PEM_FOOTER):
        raise ValueError(f"Invalid PEM encoding; must start with {PEM_HEADER} and end with {PEM_FOOTER}")
    import base64
    return base64.standard_b64decode(text.removeprefix(PEM_HEADER).removesuffix(PEM_FOOTER))


RAND_bytes = os.urandom


def RAND_status():
    return True


def RAND_add(data, entropy):
    pass
