"""os.environ: at deploy the function's plain variables, in an invocation those that the node gives to it.

They are asked for when somebody first looks."""

import os

import _serverledge

plain = {}
secrets = frozenset()
warn = None

# All that leads to a variable, or to all of them.
METHODS = ("__getitem__", "__setitem__", "__delitem__", "__iter__", "__len__", "__repr__", "__contains__", "__or__", "__ror__", "__ior__",
           "__eq__", "copy", "setdefault", "get", "items", "keys", "values", "pop", "popitem", "clear", "update")


def later(name):
    def method(self, *arguments, **keywords):
        renew()
        return getattr(self, name)(*arguments, **keywords)

    method.__name__ = name
    return method


class Later(os._Environ):
    """Becomes an ordinary one when it is first used in an invocation."""

    locals().update((name, later(name)) for name in METHODS)


class SecretMissing(KeyError):
    """At deploy there are no secrets, which might get into the snapshot."""

    def __str__(self):
        return f"the secret {self.args[0]} is read while the file is loaded, when no secret is there: read it in the handler"


class AtDeploy(os._Environ):
    """Tells whoever reads a secret that it is too early."""

    def __getitem__(self, name):
        if name in secrets and self.encodekey(name) not in self._data:
            warn(name)
            raise SecretMissing(name)
        return super().__getitem__(name)


def begin(variables, names, warn_of_secret):
    global plain, secrets, warn
    plain, secrets, warn = variables, names, warn_of_secret
    os.environ._data.clear()
    os.environ._data.update((name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in plain.items())
    os.environ.__class__ = AtDeploy


def end():
    os.environ.__class__ = os.environb.__class__ = Later


def renew():
    # Both have the same data.
    os.environ.__class__ = os.environb.__class__ = os._Environ
    os.environ._data.update(_serverledge.environment())


def context():
    """What the handler is told about its invocation."""
    return {"invocation_id": _serverledge.invocation_id(), "function": _serverledge.function_name()}
