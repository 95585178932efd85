# requires: mistune==3.4.0
import mistune

TEXT = "# Title\n\nA *word* and ~~none~~ <b>\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n- [x] done\n\n```py\nx < 1\n```\n"


def handler(params):
    render = mistune.create_markdown(plugins=["table", "strikethrough", "task_lists", "footnotes"])
    return [render(TEXT), mistune.html(params["text"]), mistune.create_markdown(renderer="ast")("a **b**")]
