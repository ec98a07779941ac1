"""Assertions about the life of pods: which order, how long, how often, and how it ended.

`language` says what can be asserted and `parser` reads it; `names` says whom it is about, `judge` whether
it holds. They look at a `Run`, which a `Recorder` takes down from a kubelet. None of them starts anything.
"""

from minikubelet.assertions.judge import Verdict, check
from minikubelet.assertions.language import ExpressionError
from minikubelet.assertions.parser import parse
from minikubelet.assertions.run import Run

__all__ = ["ExpressionError", "Run", "Verdict", "check", "parse"]
