"""The module `ctypes` where there is no native code: the names and sizes of C's types, numbers of these types, and errors that say
so wherever a library or memory would be needed. It can be imported, and types can be declared."""

import struct
import sys
import types

from _serverledge_errors import OTHER_RUNTIME

__version__ = "1.1.0"
# As a package without files: `ctypes.util` is made below.
__path__ = []

NO_NATIVE_CODE = f"the runtime python-wasm has no native code, which ctypes would call: {OTHER_RUNTIME}"
RTLD_LOCAL, RTLD_GLOBAL, DEFAULT_MODE = 0, 256, 0
INTEGERS = frozenset("bBhHiIlLqQP")


class ArgumentError(Exception):
    pass


def refuse(*arguments, **keywords):
    raise OSError(NO_NATIVE_CODE)


class Kind(type):
    """The type of C's types: `c_int * 4` is one as well."""

    def __mul__(cls, length):
        return Kind(f"{cls.__name__}_Array_{length}", (Array,), {"_type_": cls, "_length_": length})

    __rmul__ = __mul__

    def from_param(cls, value):
        return value

    from_buffer = from_buffer_copy = from_address = in_dll = refuse


class _SimpleCData(metaclass=Kind):
    """A number, or something else of one word. `_type_` is its letter in `struct`."""

    def __init__(self, value=None):
        self.value = (0 if self._type_ in INTEGERS else False if self._type_ == "?" else 0.0) if value is None else value

    @property
    def value(self):
        return self._value

    @value.setter
    def value(self, value):
        if self._type_ in INTEGERS:
            if not isinstance(value, int):
                raise TypeError(f"an integer is required (got type {type(value).__name__})")
            bits = 8 * struct.calcsize(self._type_)
            value &= (1 << bits) - 1
            if self._type_.islower() and value >> (bits - 1):
                value -= 1 << bits
        elif self._type_ == "?":
            value = bool(value)
        else:
            value = struct.unpack(self._type_, struct.pack(self._type_, value))[0]
        self._value = value

    def __repr__(self):
        return f"{type(self).__name__}({self.value!r})"


class Unusable(metaclass=Kind):
    """A type that can be declared, and of which there is nothing."""

    __init__ = refuse


class Structure(Unusable):
    pass


class Union(Unusable):
    pass


class Array(Unusable):
    __class_getitem__ = classmethod(types.GenericAlias)


class _Pointer(Unusable):
    pass


class _CFuncPtr(Unusable):
    pass


class BigEndianStructure(Structure):
    pass


class BigEndianUnion(Union):
    pass


LittleEndianStructure, LittleEndianUnion = Structure, Union


def declare(letter, *names):
    """One type by all its names."""
    kind = Kind(names[0], (_SimpleCData,), {"_type_": letter, "__module__": "ctypes"})
    globals().update(dict.fromkeys(names, kind))


declare("?", "c_bool")
declare("b", "c_byte", "c_int8")
declare("B", "c_ubyte", "c_uint8")
declare("h", "c_short", "c_int16")
declare("H", "c_ushort", "c_uint16")
declare("i", "c_int", "c_int32")
declare("I", "c_uint", "c_uint32")
declare("l", "c_long", "c_ssize_t")
declare("L", "c_ulong", "c_size_t")
declare("q", "c_longlong", "c_int64", "c_time_t")
declare("Q", "c_ulonglong", "c_uint64")
declare("P", "c_void_p", "c_voidp")
declare("f", "c_float")
declare("d", "c_double", "c_longdouble")
for each in ("c_char", "c_wchar", "c_char_p", "c_wchar_p", "py_object", "HRESULT"):
    globals()[each] = Kind(each, (Unusable,), {"__module__": "ctypes"})

SIZES = {c_char: 1, c_wchar: 4}


def sizeof(kind):
    """The bytes of a type or of a value: in WebAssembly, where a pointer has four."""
    kind = kind if isinstance(kind, type) else type(kind)
    if kind in SIZES:
        return SIZES[kind]
    if issubclass(kind, _SimpleCData):
        return struct.calcsize(kind._type_)
    if issubclass(kind, Array):
        return sizeof(kind._type_) * kind._length_
    if issubclass(kind, (Structure, Union)):
        refuse()
    if not isinstance(kind, Kind):
        raise TypeError("this type has no size")
    return struct.calcsize("P")


def POINTER(kind):
    return Kind(f"LP_{getattr(kind, '__name__', kind)}", (_Pointer,), {"_type_": kind})


def CFUNCTYPE(result, *arguments, **keywords):
    return Kind("CFunctionType", (_CFuncPtr,), {"_restype_": result, "_argtypes_": arguments})


PYFUNCTYPE = CFUNCTYPE
addressof = alignment = byref = cast = pointer = resize = refuse
create_string_buffer = c_buffer = create_unicode_buffer = string_at = wstring_at = memmove = memset = refuse


def get_errno():
    return 0


def set_errno(value):
    return 0


class CDLL:
    __init__ = refuse


class PyDLL(CDLL):
    pass


class LibraryLoader:
    __class_getitem__ = classmethod(types.GenericAlias)

    def __init__(self, kind):
        self.kind = kind

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.kind(name)

    __getitem__ = LoadLibrary = __getattr__


cdll, pydll, pythonapi = LibraryLoader(CDLL), LibraryLoader(PyDLL), LibraryLoader(PyDLL)

util = sys.modules["ctypes.util"] = types.ModuleType("ctypes.util")
util.find_library = lambda name: None
