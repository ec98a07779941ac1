"""Assertions from YAML files: a list of texts, or of `name` and `assert` where a report needs a title.

- log-shipper started before main-task
- name: the proxy goes last
  assert: main-task exited before proxy signalled
"""

from collections.abc import Iterable, Iterator

import attrs

from minikubelet.api.errors import FieldError, ManifestError
from minikubelet.api.nodes import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    SyntaxFault,
    key_text,
    parse,
    resolve,
)

EXPECTED = "expected a list of assertions, each a text, or `name` and `assert`"
QUOTE = "put an assertion that contains `: ` or ` #` in quotes, or under `|`"


@attrs.frozen
class Given:
    """An assertion as somebody gave it."""

    text: str
    name: str
    "Its title in reports."
    file: str
    line: int = 0
    column: int = 0

    def fault(self, message: str) -> FieldError:
        return FieldError(self.file, self.line, self.column, "", "", message)


def given_directly(texts: Iterable[str], source: str) -> Iterator[Given]:
    """Those of a command line or a call."""
    for text in texts:
        yield Given(text, _in_one_line(text), source)


def read_assertions(path: str) -> list[Given]:
    """Raises `ManifestError` with every fault of the file; what the texts mean is for others to see."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise ManifestError([FieldError(path, 0, 0, "", "", (error.strerror or "").lower())]) from None
    except UnicodeDecodeError:
        raise ManifestError([FieldError(path, 0, 0, "", "", "not UTF-8 text")]) from None
    errors: list[FieldError] = []
    found: list[Given] = []
    for document in parse(text):
        if isinstance(document, SyntaxFault):
            errors.append(FieldError(path, document.line, document.column, "", "", document.message))
        elif not isinstance(document, SequenceNode):
            errors.append(_fault(path, document, EXPECTED))
        else:
            for item in document.items:
                read = _assertion(path, item)
                (errors if isinstance(read, FieldError) else found).append(read)  # type: ignore[arg-type]
    if not errors and not found:
        errors.append(FieldError(path, 0, 0, "", "", f"empty; {EXPECTED}"))
    if errors:
        raise ManifestError(errors)
    return found


def _assertion(path: str, item: Node) -> Given | FieldError:
    if isinstance(item, ScalarNode):
        return _given(path, item, None)
    if not isinstance(item, MappingNode):
        return _fault(path, item, EXPECTED)
    fields = {key_text(key): (key, value) for key, value in item.pairs}
    for name, (key, value) in fields.items():
        if name not in ("name", "assert"):
            hint = f"; {QUOTE}" if isinstance(value, ScalarNode) and " " in (name or "") else ""
            return _fault(path, key, f"unknown field {name}{hint}")
        if not isinstance(value, ScalarNode) or not isinstance(resolve(value), str):
            return _fault(path, value, f"{name}: expected a text")
    if "assert" not in fields:
        return _fault(path, item, "`assert` is missing")
    title = fields["name"][1] if "name" in fields else None
    assertion = fields["assert"][1]
    assert isinstance(assertion, ScalarNode)
    return _given(path, assertion, title.text if isinstance(title, ScalarNode) else None)


def _given(path: str, node: ScalarNode, name: str | None) -> Given | FieldError:
    if not isinstance(resolve(node), str):
        return _fault(path, node, EXPECTED)
    return Given(node.text, name or _in_one_line(node.text), path, node.line, node.column)


def _fault(path: str, node: Node, message: str) -> FieldError:
    return FieldError(path, node.line, node.column, "", "", message)


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
