"""Code blocks of the READMEs."""

import re
import shlex


def blocks(text, language):
    """Fenced code blocks of one language; "" for those that name none."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [content for found, content in fenced if found == language]


def commands(text):
    """Arguments of each command of a shell block, without comments."""
    joined = text.replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in joined.splitlines() if line.strip()]
