# requires: markdown==3.11.3
import markdown

TEXT = """# Title {#top}

A *word*, a **strong** one, `code`, [a link](https://example.org "title") and <https://example.org>.

* one
* two
    1. inner

| a | b |
|---|:-:|
| 1 | 2 |

```python
print("x < y")
```

Note[^1]

[^1]: The note.
"""


def handler(params):
    converter = markdown.Markdown(extensions=["extra", "toc", "sane_lists", "meta"])
    return [converter.convert(TEXT), converter.toc, markdown.markdown(params["text"] + "\n\n> quoted\n\n---")]
