"""What is added to Python's library: what it has elsewhere from other libraries."""

from _serverledge_importing import library


def make():
    library.after.update(hashlib=add_derivations)


def add_derivations(module):
    __import__("_serverledge_kdf").add(module)
