"""Keys from passwords, which hashlib has from OpenSSL elsewhere: `pbkdf2_hmac` and `scrypt`."""

import hashlib
import hmac

import _serverledge

INT_MAX = 2**31 - 1
# What OpenSSL allows where nothing else is said.
SCRYPT_BYTES_MAX = 32 << 20


def pbkdf2_hmac(hash_name, password, salt, iterations, dklen=None):
    if not isinstance(hash_name, str):
        raise TypeError(f"pbkdf2_hmac() argument 'hash_name' must be str, not {type(hash_name).__name__}")
    name = hash_name.lower()
    if name.startswith("shake_"):
        raise ValueError(f"unsupported hash type {hash_name}")
    length = hashlib.new(name).digest_size if dklen is None else dklen
    if iterations < 1:
        raise ValueError("iteration value must be greater than 0.")
    if iterations > INT_MAX:
        raise OverflowError("iteration value is too great.")
    if length < 1:
        raise ValueError("key length must be greater than 0.")
    if length > INT_MAX:
        raise OverflowError("key length is too great.")
    key = _serverledge.pbkdf2(name, password, salt, iterations, length)
    return pbkdf2_of_others(name, password, salt, iterations, length) if key is None else key


def pbkdf2_of_others(name, password, salt, iterations, length):
    """PBKDF2 (RFC 8018, 5.2) with a digest that has no part in C for it."""
    start, key = hmac.new(password, digestmod=name), b""
    for block in range(1, -(-length // start.digest_size) + 1):
        each = once(start, bytes(salt) + block.to_bytes(4, "big"))
        total = int.from_bytes(each, "big")
        for _ in range(1, iterations):
            each = once(start, each)
            total ^= int.from_bytes(each, "big")
        key += total.to_bytes(start.digest_size, "big")
    return key[:length]


def once(start, message):
    mac = start.copy()
    mac.update(message)
    return mac.digest()


def scrypt(password, *, salt=None, n=None, r=None, p=None, maxmem=0, dklen=64):
    if salt is None:
        raise TypeError("salt is required")
    for name, value in (("n", n), ("r", r), ("p", p)):
        if not isinstance(value, int) or not 0 <= value < 2**32:
            raise TypeError(f"{name} is required and must be an unsigned int")
    if n < 2 or n & (n - 1):
        raise ValueError("n must be a power of 2.")
    if not 0 <= maxmem <= INT_MAX:
        raise ValueError(f"maxmem must be positive and smaller than {INT_MAX}")
    if not 1 <= dklen <= INT_MAX:
        raise ValueError(f"dklen must be greater than 0 and smaller than {INT_MAX}")
    if r < 1 or p < 1 or r * p >= 2**30 or n >= 2**(16 * r):
        raise ValueError("Invalid parameter combination for n, r, p, maxmem.")
    if 128 * r * (n + 2 + p) > (maxmem or SCRYPT_BYTES_MAX):
        raise ValueError("memory limit exceeded")
    return _serverledge.scrypt(password, salt, n, r, p, dklen)


def add(module):
    for function in (pbkdf2_hmac, scrypt):
        setattr(module, function.__name__, _serverledge.builtin(function, "hashlib", function.__name__))
    module.__all__ += ("pbkdf2_hmac",)
