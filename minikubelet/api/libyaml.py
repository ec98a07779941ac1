"""What reading takes of PyYAML: its events, its errors and a parser, which is libyaml's where it is there.

PyYAML compiles patterns for a reader, a resolver and a constructor in Python, one of which spells out
Unicode. That was an eighth of the CPU of a start of `minikubelet run`, and libyaml has no use for them: so
they are compiled when, and if, somebody looks for something with them. Where `cli.main` has put off the code
of PyYAML itself, which loads all of it, no more is loaded than is named here.
"""

import re
from typing import Any

from minikubelet.api.patterns import LatePattern

_compile, re.compile = re.compile, LatePattern  # type: ignore[assignment]
try:
    from yaml.error import MarkedYAMLError, YAMLError
    from yaml.events import (
        AliasEvent,
        DocumentEndEvent,
        DocumentStartEvent,
        MappingEndEvent,
        MappingStartEvent,
        ScalarEvent,
        SequenceEndEvent,
        SequenceStartEvent,
        StreamEndEvent,
    )

    for part in ("nodes", "tokens", "reader", "scanner", "parser", "composer", "_yaml"):
        try:  # the last is libyaml's parser, and of the others it takes what it makes and raises
            __import__(f"yaml.{part}")
        except ImportError:
            pass  # there is no libyaml
finally:
    re.compile = _compile

__all__ = [
    "AliasEvent",
    "DocumentEndEvent",
    "DocumentStartEvent",
    "MappingEndEvent",
    "MappingStartEvent",
    "MarkedYAMLError",
    "ScalarEvent",
    "SequenceEndEvent",
    "SequenceStartEvent",
    "StreamEndEvent",
    "YAMLError",
    "new_parser",
]


def new_parser(text: str) -> Any:
    """A parser with the interface of PyYAML's."""
    try:
        from yaml._yaml import CParser
    except ImportError:
        from yaml.parser import Parser
        from yaml.reader import Reader
        from yaml.scanner import Scanner

        class PythonParser(Reader, Scanner, Parser):
            def __init__(self, text: str) -> None:
                Reader.__init__(self, text)
                Scanner.__init__(self)
                Parser.__init__(self)

        return PythonParser(text)
    return CParser(text)
