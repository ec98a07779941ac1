"""What reading takes of PyYAML: its events, its errors and a parser, which is libyaml's where it is there.

`import yaml` loads all of PyYAML and compiles the patterns of its own reader, resolver and constructor, one
of which spells out Unicode. That was an eighth of the CPU of a start of `minikubelet run`, and libyaml has no
use for them: so those patterns are compiled when, and if, somebody looks for something with them.
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
