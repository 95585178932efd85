"""The module ssl for programs that send requests. The node has the TLS, and checks certificates with the roots of its
system. Whatever would change that is an error. No certificate can be seen here."""

import enum
import errno
import os
import socket
import sys
from collections import namedtuple

# The beginning is looked at by packages that need a version.
OPENSSL_VERSION = "OpenSSL 3.0.0, or what takes its place: the node speaks TLS"
OPENSSL_VERSION_INFO = _OPENSSL_API_VERSION = (3, 0, 0, 0, 0)
OPENSSL_VERSION_NUMBER = 0x30000000
HAS_SNI = HAS_ALPN = HAS_ECDH = HAS_NEVER_CHECK_COMMON_NAME = HAS_TLSv1_2 = HAS_TLSv1_3 = True
HAS_NPN = HAS_SSLv2 = HAS_SSLv3 = HAS_TLSv1 = HAS_TLSv1_1 = HAS_PSK = False
CHANNEL_BINDING_TYPES = []

ALWAYS_CHECKED = "the node checks all certificates and names of hosts with the roots of its system"
VERSIONS = "the node speaks TLS 1.2 and 1.3, and chooses itself"
# urllib3 before 2.0 switches off the check of names in all contexts, and makes it by itself where it sees that nobody
# else does.
CHECK_NAMES = frozenset(("urllib3.util.ssl_",))
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


def refuse(why, setting=None):
    told = f"{setting} has no effect here, since {why}" if setting else why
    raise SSLError(errno.ENOTSUP, f"{told}: {OTHER_RUNTIME}")


# === ciphers ===

# The suites of TLS 1.2 that the node offers, with OpenSSL's words for kinds of ciphers that they belong to.
KINDS = frozenset(("ALL", "DEFAULT", "HIGH", "TLSv1.2", "ECDH", "ECDHE", "EECDH", "kECDHE", "kEECDH"))
SUITES = {
    f"ECDHE-{key}-{cipher}": KINDS | kinds | keys | {f"ECDHE-{key}-{cipher}"}
    for key, keys in (("RSA", {"aRSA"}), ("ECDSA", {"ECDSA", "aECDSA"}))
    for cipher, kinds in (("AES128-GCM-SHA256", {"AES", "AESGCM", "AES128"}),
                          ("AES256-GCM-SHA384", {"AES", "AESGCM", "AES256"}),
                          ("CHACHA20-POLY1305", {"CHACHA20"}))
}
SECURITY_LEVEL = 2


def allows_all(ciphers):
    """Whether a list in OpenSSL's form has all suites that the node offers. The node never uses others in it."""
    allowed, excluded = set(), set()
    for item in ciphers.replace("@", ":@").replace(",", ":").replace(" ", ":").split(":"):
        if item.startswith("@SECLEVEL=") and not (item[10:].isdecimal() and int(item[10:]) <= SECURITY_LEVEL):
            return False
        words = item.lstrip("!-+").split("+")
        matching = {name for name, kinds in SUITES.items() if kinds.issuperset(words)}
        if item.startswith("!"):
            excluded |= matching
        elif item.startswith("-"):
            allowed -= matching
        elif not item.startswith("+"):
            allowed |= matching
    return len(allowed - excluded) == len(SUITES)


# === contexts ===


class SSLSocket(socket.socket):
    """A connection whose requests the node sends by https."""

    context = server_hostname = _sslobj = None
    server_side = session = session_reused = False

    def connect(self, address):
        super().connect(address)
        try:
            self._check_name()
        except SSLError:
            self.close()
            raise

    def _check_name(self):
        host = plain(self._host)
        if self.server_hostname and plain(self.server_hostname) != host:
            name = self.server_hostname
            refuse(f"the request goes to {host}, whose certificate the node checks, and not that of {name}")

    def getpeercert(self, binary_form=False):
        refuse(UNSEEN)

    get_channel_binding = get_verified_chain = get_unverified_chain = getpeercert

    def do_handshake(self, block=False):
        pass

    def selected_alpn_protocol(self):
        return "http/1.1" if self.context._has_alpn else None

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


def setting(name, why):
    """A setting that can only be left alone."""

    def set_it(self, value):
        if value is not None:
            refuse(why, name)

    return property(lambda self: None, set_it)


class SSLContext:
    """Settings for connections. Those that the node follows anyway, or that ask for less than it does, are taken."""

    sslsocket_class, sslobject_class = SSLSocket, SSLObject
    security_level, num_tickets = SECURITY_LEVEL, 2
    # They are about certificates of clients, which there are none of, and about names that certificates no longer have.
    post_handshake_auth = hostname_checks_common_name = False

    def __init__(self, protocol=None):
        self.protocol = _SSLMethod.PROTOCOL_TLS if protocol is None else _SSLMethod(protocol)
        if self.protocol in (_SSLMethod.PROTOCOL_TLSv1, _SSLMethod.PROTOCOL_TLSv1_1, _SSLMethod.PROTOCOL_TLSv1_2):
            refuse(VERSIONS, self.protocol.name)
        is_client = self.protocol is _SSLMethod.PROTOCOL_TLS_CLIENT
        self._verify_mode = VerifyMode.CERT_REQUIRED if is_client else VerifyMode.CERT_NONE
        self._check_hostname = is_client
        # Whether somebody has switched that off, and it is not merely the protocol's default.
        self._is_unnamed = self._leaves_names = self._has_alpn = False
        self._options = Options.OP_ALL | Options.OP_NO_SSLv3 | Options.OP_NO_COMPRESSION
        self._verify_flags = VerifyFlags.VERIFY_X509_TRUSTED_FIRST
        self._minimum_version, self._maximum_version = TLSVersion.TLSv1_2, TLSVersion.MAXIMUM_SUPPORTED

    # === what is checked ===

    @property
    def verify_mode(self):
        return self._verify_mode

    @verify_mode.setter
    def verify_mode(self, mode):
        mode = VerifyMode(mode)
        if mode is VerifyMode.CERT_NONE and self._check_hostname:
            if not self._leaves_names:
                raise ValueError("Cannot set verify_mode to CERT_NONE when check_hostname is enabled.")
            self._check_hostname = False
        self._verify_mode = mode

    @property
    def check_hostname(self):
        return self._check_hostname

    @check_hostname.setter
    def check_hostname(self, is_checked):
        is_verified = self._verify_mode is not VerifyMode.CERT_NONE
        if not is_checked and is_verified and sys._getframe(1).f_globals.get("__name__") in CHECK_NAMES:
            self._leaves_names = True
            return
        self._check_hostname, self._is_unnamed = bool(is_checked), not is_checked
        if is_checked and self._verify_mode is VerifyMode.CERT_NONE:
            self._verify_mode = VerifyMode.CERT_REQUIRED

    @property
    def verify_flags(self):
        return self._verify_flags

    @verify_flags.setter
    def verify_flags(self, flags):
        flags = VerifyFlags(flags)
        if flags & VerifyFlags.VERIFY_CRL_CHECK_CHAIN:
            # The flag for all certificates of a chain is that for the last one and another bit.
            name = "CHAIN" if VerifyFlags.VERIFY_CRL_CHECK_CHAIN in flags else "LEAF"
            setting = f"verify_flags VERIFY_CRL_CHECK_{name}"
            refuse("the node knows no lists of certificates that were withdrawn", setting)
        self._verify_flags = flags

    def load_verify_locations(self, cafile=None, capath=None, cadata=None):
        if cafile is None and capath is None and cadata is None:
            raise TypeError("cafile, capath and cadata cannot be all omitted")
        if cadata or capath or not is_certifi(cafile):
            refuse(f"{ALWAYS_CHECKED}, and with no others", "load_verify_locations")

    def load_default_certs(self, purpose=None):
        for name in "SSL_CERT_FILE", "SSL_CERT_DIR":
            path = os.environ.get(name)
            if path and not is_certifi(path):
                refuse(f"{ALWAYS_CHECKED}, and with no others", f"the variable {name}")

    set_default_verify_paths = load_default_certs

    def load_cert_chain(self, certfile, keyfile=None, password=None):
        refuse("the node connects without a certificate of the function's own", "load_cert_chain")

    # === how TLS is spoken ===

    @property
    def options(self):
        return self._options

    @options.setter
    def options(self, options):
        options = Options(options)
        for each in Options.OP_NO_TLSv1_2, Options.OP_NO_TLSv1_3:
            if each in options:
                refuse(VERSIONS, f"options {each.name}")
        self._options = options

    @property
    def minimum_version(self):
        return self._minimum_version

    @minimum_version.setter
    def minimum_version(self, version):
        version = TLSVersion(version)
        if version in (TLSVersion.TLSv1_3, TLSVersion.MAXIMUM_SUPPORTED):
            refuse(VERSIONS, f"minimum_version = {version.name}")
        self._minimum_version = version

    @property
    def maximum_version(self):
        return self._maximum_version

    @maximum_version.setter
    def maximum_version(self, version):
        version = TLSVersion(version)
        if version not in (TLSVersion.TLSv1_3, TLSVersion.MAXIMUM_SUPPORTED):
            refuse(VERSIONS, f"maximum_version = {version.name}")
        self._maximum_version = version

    def set_ciphers(self, ciphers):
        if not allows_all(ciphers):
            why = f"the node chooses among {', '.join(SUITES)} and the ciphers of TLS 1.3"
            refuse(why, f"set_ciphers({ciphers!r})")

    def set_alpn_protocols(self, protocols):
        protocols = list(protocols)
        if "http/1.1" not in protocols:
            refuse("a connection of the function speaks HTTP/1.1", f"set_alpn_protocols({protocols!r})")
        self._has_alpn = True

    keylog_filename = setting("keylog_filename", "the node keeps the keys of its connections to itself")
    sni_callback = setting("sni_callback", "the function is no server")

    def set_servername_callback(self, callback):
        refuse("the function is no server", "set_servername_callback")

    def set_ecdh_curve(self, name):
        refuse("the node chooses the curve", "set_ecdh_curve")

    def set_npn_protocols(self, protocols):
        refuse("no such protocols are agreed on", "set_npn_protocols")

    def load_dh_params(self, path):
        refuse("the node takes no parameters for keys", "load_dh_params")

    def set_psk_client_callback(self, callback):
        refuse("the node checks certificates, and knows no shared keys", "set_psk_client_callback")

    def set_psk_server_callback(self, callback, identity_hint=None):
        refuse("the function is no server", "set_psk_server_callback")

    # === what is there ===

    def get_ciphers(self):
        return []

    def get_ca_certs(self, binary_form=False):
        return []

    def cert_store_stats(self):
        return {"x509": 0, "crl": 0, "x509_ca": 0}

    session_stats = cert_store_stats

    def wrap_socket(self, sock, server_side=False, do_handshake_on_connect=True, suppress_ragged_eofs=True,
                    server_hostname=None, session=None):
        if server_side or isinstance(sock, SSLSocket) or not isinstance(sock, socket.socket):
            refuse(NO_TLS)
        if sock._request is None or sock._request.is_begun:
            # What was written so far was to go out as it is.
            refuse(NO_TLS)
        if self._verify_mode is VerifyMode.CERT_NONE:
            refuse(f"{ALWAYS_CHECKED}, and that cannot be switched off", "verify_mode = CERT_NONE")
        if self._is_unnamed:
            refuse(f"{ALWAYS_CHECKED}, and that cannot be switched off", "check_hostname = False")
        if self._check_hostname and not server_hostname:
            raise ValueError("check_hostname requires server_hostname")
        before = sock.__class__
        sock.__class__ = self.sslsocket_class
        sock._is_https, sock.context, sock.server_hostname = True, self, server_hostname
        if sock._host is not None:
            try:
                sock._check_name()
            except SSLError:
                sock.__class__, sock._is_https = before, False
                raise
        return sock

    def wrap_bio(self, *arguments, **keywords):
        refuse(NO_TLS)


def is_certifi(path):
    """Whether a file is that of the roots that systems have, as the package certifi brings them."""
    return os.path.basename(os.path.dirname(os.fsdecode(path))) == "certifi"


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
    elif is_client:
        context.load_default_certs()
    return context


def _create_unverified_context(protocol=None, *, cert_reqs=VerifyMode.CERT_NONE, check_hostname=False,
                               purpose=Purpose.SERVER_AUTH, certfile=None, keyfile=None, cafile=None, capath=None,
                               cadata=None):
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

DefaultVerifyPaths = namedtuple(
    "DefaultVerifyPaths", "cafile capath openssl_cafile_env openssl_cafile openssl_capath_env openssl_capath")
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
