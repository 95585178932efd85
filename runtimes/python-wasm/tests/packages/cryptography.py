# requires: cryptography==50.0.2
from cryptography.fernet import Fernet


def handler(params):
    return Fernet(b"A" * 43 + b"=").extract_timestamp(b"")
