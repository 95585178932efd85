# requires: docutils==0.23
from docutils.core import publish_parts, publish_string

TEXT = """
Title
=====

A *word*, ``code``, a `link <https://example.org>`_ and [1]_.

.. note:: Something.

======  =====
a       b
======  =====
1       2
======  =====

.. [1] The note.
"""


def handler(params):
    parts = publish_parts(TEXT, writer="html5", settings_overrides={"embed_stylesheet": False, "stylesheet_path": ""})
    return [parts["title"], parts["html_body"], publish_string(params["text"] + "\n\n* a\n* b", writer="pseudoxml").decode()]
