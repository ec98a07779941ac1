"""From the text of an assertion to its value: a parser by recursive descent, one method for each rule.

The grammar is `language.GRAMMAR`. Every fault is an `ExpressionError` with its place, what could have stood
there, and, for what looks like a slip, what was probably meant.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Literal, TypeVar

import attrs

from minikubelet.assertions.language import (
    COMPARISONS,
    COUNTS,
    LENGTHS,
    PLAIN_STATE,
    REASONS,
    TEXT_TESTS,
    TEXTS,
    VERBS,
    AnyMoment,
    Assertion,
    Comparison,
    Count,
    Distance,
    EventMoment,
    ExpressionError,
    Happened,
    Length,
    Moment,
    NoKill,
    Order,
    State,
    Subject,
    Text,
)

T = TypeVar("T")


def parse(text: str) -> Assertion:
    """Raises `ExpressionError` with the place where the text stops making sense."""
    return _Parser(text).assertion()


def parse_until(text: str) -> float | AnyMoment:
    """A duration, in seconds, or a moment, as `--until` takes them. Raises `ExpressionError`."""
    match = _DURATION.fullmatch(text.strip())
    return _seconds(match) if match else _Parser(text).only_moment()


@attrs.frozen
class _Token:
    kind: Literal["word", "text", "comparison", "end"]
    text: str
    "Without quotes, escapes resolved."
    position: int


_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*')
      | (?P<comparison>[=!<>]+)
      | (?P<word>[^\s"'=!<>]+)
      | (?P<open>["'])
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {'"': '"', "'": "'", "\\": "\\", "n": "\n", "t": "\t"}


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while True:
        match = _TOKEN.match(text, at)
        assert match is not None and match.lastgroup is not None  # one of the five always matches
        kind, found, position = match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)
        at = match.end()
        match kind:
            case "open":
                raise ExpressionError(text, position, "this quote is never closed")
            case "comparison" if found not in COMPARISONS:
                hint = ' (equality is "==")' if found == "=" else ""
                raise ExpressionError(text, position, f"{found} is no comparison{hint}")
            case "text":
                inner = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), found[1:-1], flags=re.DOTALL)
                yield _Token("text", inner, position)
            case "comparison":
                yield _Token("comparison", found, position)
            case "word":
                yield _Token("word", found, position)
            case _:
                yield _Token("end", "", position)
                return


_ORDINAL = re.compile(r"([1-9]\d{0,8})(?:st|nd|rd|th)", re.ASCII)
_DURATION = re.compile(r"(\d{1,15}(?:\.\d+)?)(ms|s|m|h)", re.ASCII)
_INTEGER = re.compile(r"\d{1,9}", re.ASCII)
_RELATIONS = ("before", "after", "within", "at least")


def _seconds(match: re.Match[str]) -> float:
    number = float(match[1])
    return number / 1000 if match[2] == "ms" else number * {"s": 1, "m": 60, "h": 3600}[match[2]]


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0

    # -------------------------------------------------------------- the rules of the grammar

    def assertion(self) -> Assertion:
        reading = self._reading_ahead()
        if self._next_is("no", "SIGKILL"):
            self._skip(2)
            found: Assertion = NoKill(self._subject() if self._skip_if("of") else None)
        elif reading is not None:
            found = self._reading(reading)
        elif self._event_is_ahead():
            found = self._about_event()
        else:
            found = self._about_subject()
        return self._at_end(found)

    def only_moment(self) -> AnyMoment:
        if self._event_is_ahead():
            event = self._event()
            self._skip_if("happened")
            return self._at_end(event)
        return self._at_end(self._moment(self._subject()))

    def _about_event(self) -> Assertion:
        event = self._event()
        if self._skip_if("never"):
            self._expect("happened")
            return Happened(event, "==", 0)
        if self._skip_if("happened"):
            return self._counted(event, [])
        return self._related(event, ["happened", "never happened"])

    def _about_subject(self) -> Assertion:
        subject = self._subject()
        said_is = self._skip_if("is")
        if self._skip_if("not"):
            return self._state(subject, negated=True)
        if said_is:
            return self._state(subject, negated=False)
        said_was = self._skip_if("was")
        if self._skip_if("never"):
            what, text = self._what()
            return Happened(Moment(subject, what, text, position=subject.position), "==", 0)
        moment = self._moment(subject, said_was=said_was)
        if moment.is_state and moment.which is None and not said_was and self._is_at_end():
            return State(subject, moment.what, position=moment.position)
        return self._related(moment, [])

    def _state(self, subject: Subject, *, negated: bool) -> State:
        position = self._token.position
        what, _ = self._what(("a phase or condition",), verbs=())
        return State(subject, what, negated, position=position)

    def _related(self, moment: AnyMoment, others: Sequence[str]) -> Assertion:
        if self._next_is("before") or self._next_is("after"):
            relation: Literal["before", "after"] = "before" if self._token.text == "before" else "after"
            self._skip(1)
            return Order(moment, relation, self._other_moment(moment))
        if self._skip_if("within"):
            seconds = self._duration()
            after = self._other_moment(moment) if self._skip_if("after") else None
            return Distance(moment, "within", seconds, after)
        if self._skip_if("at"):
            self._expect("least")
            seconds = self._duration()
            self._expect("after")
            return Distance(moment, "at least", seconds, self._other_moment(moment))
        return self._counted(moment, [*others, *_RELATIONS])

    def _counted(self, moment: AnyMoment, others: Sequence[str]) -> Assertion:
        if self._token.kind == "comparison" and moment.which is None:
            comparison = self._comparison()
            times = self._integer()
            if not self._skip_if("time"):
                self._expect("times")
            return Happened(moment, comparison, times)
        if not self._is_at_end() or (isinstance(moment, EventMoment) and others):
            counts = [] if moment.which is not None else ["a comparison"]
            raise self._expected([*others, *counts, "the end"])
        return Happened(moment)

    def _other_moment(self, first: AnyMoment) -> AnyMoment:
        """A moment, or only a subject, of which the same is said as before."""
        if self._event_is_ahead():
            return self._event()
        subject = self._subject()
        if not self._is_at_end():
            return self._moment(subject)
        return attrs.evolve(first, subject=subject, position=subject.position)

    def _moment(self, subject: Subject, *, said_was: bool = False) -> Moment:
        said_was = said_was or self._skip_if("was")
        which = self._which()
        position = self._token.position
        expected = () if which is not None or said_was else ("never", "not", "first", "last")
        what, text = self._what(expected)
        return Moment(subject, what, text, which, position=position)

    def _event(self) -> EventMoment:
        which = self._which()
        self._expect("event")
        token = self._take("the reason of an event")
        if token.kind == "word" and token.text not in REASONS:
            raise self._unknown(token, "reason of an event", sorted(REASONS), "; put any other one in quotes")
        subject = self._subject() if self._skip_if("of") else None
        containing = self._take_text() if self._skip_if("containing") else None
        return EventMoment(token.text, subject, containing, which, position=token.position)

    def _subject(self) -> Subject:
        position = self._token.position
        kind: Literal["pod", "job"] | None = None
        if self._next_is("pod") or self._next_is("job"):
            kind = "pod" if self._token.text == "pod" else "job"
            self._skip(1)
        name = self._take("the name of a container, pod or Job").text
        return Subject(name, kind, position=position)

    def _what(self, others: Sequence[str] = (), verbs: Sequence[str] = VERBS) -> tuple[str, str | None]:
        """A verb, with its text if it takes one, or a state."""
        token = self._token
        is_state = token.kind == "text" or PLAIN_STATE.fullmatch(token.text)
        if token.text not in verbs and not is_state:
            raise self._expected([*others, *verbs, *(("a phase or condition",) if verbs else ())])
        self._skip(1)
        if token.kind == "word" and token.text == "logged":
            return "logged", self._take_text()
        if token.kind == "text" and token.text in VERBS:
            raise self._fault_at(token, f"{token.text} is a word of the language and stands without quotes")
        return token.text, None

    def _which(self) -> int | None:
        match = _ORDINAL.fullmatch(self._token.text) if self._token.kind == "word" else None
        if match is not None:
            self._skip(1)
            return int(match[1])
        if self._skip_if("first"):
            return 1
        return -1 if self._skip_if("last") else None

    def _event_is_ahead(self) -> bool:
        token = self._token
        skipped = token.kind == "word" and (
            token.text in ("first", "last") or _ORDINAL.fullmatch(token.text) is not None
        )
        return self._next_is("event") or (skipped and self._next_is(token.text, "event"))

    # -------------------------------------------------------------- readings

    def _reading_ahead(self) -> str | None:
        for reading in (*COUNTS, *LENGTHS, *TEXTS):
            if self._next_is(*reading.split(), "of"):
                return reading
        return None

    def _reading(self, reading: str) -> Assertion:
        self._skip(len(reading.split()) + 1)
        subject = self._subject()
        if reading in COUNTS:
            return Count(reading, subject, self._comparison(), self._integer())
        if reading in LENGTHS:
            return Length(reading, subject, self._comparison(), self._duration())
        return self._text_test(reading, subject)

    def _text_test(self, reading: str, subject: Subject) -> Text:
        token = self._token
        for test in TEXT_TESTS:
            words = test.split()
            if token.text == test and token.kind == "comparison":
                self._skip(1)
                value = self._take("a text").text if self._token.kind == "word" else self._take_text()
            elif token.kind == "word" and self._next_is(*words):
                self._skip(len(words))
                position = self._token
                value = self._take_text()
                if "match" in test:
                    self._check_pattern(position, value)
            else:
                continue
            return Text(reading, subject, test, value)
        raise self._expected(TEXT_TESTS)

    def _check_pattern(self, token: _Token, value: str) -> None:
        try:
            re.compile(value)
        except re.error as error:
            raise self._fault_at(token, f"no regular expression: {error}") from None

    # -------------------------------------------------------------- tokens

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def _is_at_end(self) -> bool:
        return self._token.kind == "end"

    def _at_end(self, found: T) -> T:
        if not self._is_at_end():
            raise self._expected(["the end"])
        return found

    def _next_is(self, *words: str) -> bool:
        ahead = self._tokens[self._at : self._at + len(words)]
        return [(t.kind, t.text) for t in ahead] == [("word", word) for word in words]

    def _skip(self, tokens: int) -> None:
        self._at += tokens

    def _skip_if(self, word: str) -> bool:
        found = self._next_is(word)
        self._at += found
        return found

    def _expect(self, word: str) -> None:
        if not self._skip_if(word):
            raise self._expected([word])

    def _take(self, what: str) -> _Token:
        """A word, or a text in quotes."""
        token = self._token
        if token.kind not in ("word", "text") or not token.text:
            raise self._expected([what])
        self._skip(1)
        return token

    def _take_text(self) -> str:
        token = self._token
        if token.kind != "text":
            raise self._expected(["a text in quotes"])
        self._skip(1)
        return token.text

    def _comparison(self) -> Comparison:
        for comparison in COMPARISONS:
            if self._token.kind == "comparison" and self._token.text == comparison:
                self._skip(1)
                return comparison
        raise self._expected(COMPARISONS)

    def _integer(self) -> int:
        token = self._token
        if token.kind != "word" or not _INTEGER.fullmatch(token.text):
            raise self._expected(["a whole number"])
        self._skip(1)
        return int(token.text)

    def _duration(self) -> float:
        token = self._token
        match = _DURATION.fullmatch(token.text) if token.kind == "word" else None
        if match is None:
            raise self._expected(["a duration such as 500ms, 3s, 2m or 1h"])
        self._skip(1)
        return _seconds(match)

    # -------------------------------------------------------------- faults

    def _expected(self, expected: Sequence[str]) -> ExpressionError:
        token = self._token
        found = "the end" if token.kind == "end" else f'"{token.text}"'
        known = list(dict.fromkeys(expected))
        wanted = ", ".join(known[:-1]) + f" or {known[-1]}" if len(known) > 1 else known[0]
        near = closest(token.text, [word for other in known for word in (other, *other.split())])
        hint = f'; did you mean "{near}"?' if near and token.kind == "word" else ""
        return self._fault_at(token, f"expected {wanted}, found {found}{hint}")

    def _unknown(self, token: _Token, what: str, known: Sequence[str], rest: str) -> ExpressionError:
        near = closest(token.text, known)
        hint = f'; did you mean "{near}"?' if near else f" (there are {', '.join(known)})"
        return self._fault_at(token, f"{token.text} is no {what}{hint}{rest}")

    def _fault_at(self, token: _Token, message: str) -> ExpressionError:
        return ExpressionError(self._text, token.position, message)


def closest(word: str, known: Sequence[str]) -> str | None:
    """What was probably meant; another spelling with capitals above all."""
    from difflib import get_close_matches  # only where something is wrong

    for other in known:
        if other.lower() == word.lower() != "":
            return other
    return next(iter(get_close_matches(word, known, 1)), None)
