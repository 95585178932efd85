# requires: six==1.17.0
import six
from six.moves import range, urllib, zip_longest


@six.add_metaclass(type)
class Base(object):
    pass


@six.python_2_unicode_compatible
class Text(Base):
    def __str__(self):
        return "text"


def handler(params):
    try:
        six.raise_from(ValueError("outer"), KeyError("inner"))
    except ValueError as error:
        cause = repr(error.__cause__)
    return [six.PY3, six.ensure_str(six.ensure_binary(params["text"])), sorted(six.iteritems({"a": 1})), list(zip_longest(range(2), "abc")), urllib.parse.quote(params["text"]), str(Text()), cause, six.StringIO("x").read()]
