"""What is added to Python's library: what it has elsewhere from other libraries."""

import _serverledge_changes as changes
import _serverledge_rehearsal as rehearsal
from _serverledge_importing import library


def make():
    library.after.update(hashlib=add_derivations)


def add_derivations(module):
    changes.own("_serverledge_kdf").add(module)
    rehearsal.AFTER["hashlib"](module)
