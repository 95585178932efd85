"""os.environ: at deploy the function's plain variables, in an invocation those that the node gives to it.

They are asked for when somebody first looks."""

import os

import _serverledge

environ, environb = os.environ, os.environb
secrets = frozenset()
warn = None
# Whether the variables of this invocation were asked for.
is_current = False


class SecretMissing(KeyError):
    """At deploy there are no secrets, which might get into the snapshot."""

    def __str__(self):
        name = self.args[0]
        return f"the secret {name} is read while the file is loaded, when no secret is there: read it in the handler"


class Environment(os._Environ):
    """All methods look at `_data`. So each of them finds the invocation's variables, also if it was kept at deploy."""

    @property
    def _data(self):
        global is_current
        data = self.__dict__["_data"]
        if not is_current and _serverledge.invoked():
            is_current = True
            # Both have the same data.
            environ.__dict__["_data"].update(_serverledge.environment())
        return data

    @_data.setter
    def _data(self, data):
        self.__dict__["_data"] = data

    def __getitem__(self, name):
        if secrets and not _serverledge.invoked():
            self._check_there(name)
        return super().__getitem__(name)

    def _check_there(self, name):
        """Tells whoever reads a secret that it is too early."""
        text = os.fsdecode(name) if isinstance(name, (str, bytes)) else None
        if text in secrets and os.fsencode(text) not in self._data:
            warn(text)
            raise SecretMissing(text)


def begin(variables, names, warn_of_secret):
    global secrets, warn
    secrets, warn = names, warn_of_secret
    data = environ.__dict__["_data"]
    data.clear()
    data.update((name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in variables.items())
    environ.__class__ = environb.__class__ = Environment
