"""The signatures of functions and types in C, as texts that `inspect` reads. `pack.py` has collected them, by modules."""

import _serverledge

OPERATORS = "operators"

# Maps from names to signatures, as far as they were asked for.
known = {}


def in_module(module, name):
    if module not in known:
        known[module] = _serverledge.code(f"signatures/{module}") or {}
    return known[module].get(name)


def in_types(types, name):
    """The signature that the first of some types has for a name."""
    return next((found for each in types if (found := in_module(each.__module__, f"{each.__qualname__}.{name}"))), None)


def find(value):
    """The text of a signature; None if it is not known."""
    if isinstance(value, type):
        return in_module(value.__module__, value.__qualname__)
    name = value.__name__
    if (found := in_module(OPERATORS, name)) is not None:
        return found
    if (owner := getattr(value, "__objclass__", None)) is not None:
        return in_types((owner,), name)
    owner = value.__self__
    if isinstance(owner, type(_serverledge)):
        return in_module(value.__module__, name) or of_own(owner)
    return in_types(owner.__mro__ if isinstance(owner, type) else type(owner).__mro__, name)


def of_own(module):
    """That of a function of the runtime in the place of a built-in one."""
    function = getattr(module, "__wrapped__", None)
    if function is None:
        return None
    import inspect
    return str(inspect.signature(function))
