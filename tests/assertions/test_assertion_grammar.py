"""The language of assertions: what is written can be read, and what cannot be read is pointed at."""

import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minikubelet
from minikubelet.assertions.language import (
    COMPARISONS,
    COUNTS,
    JOB_STATES,
    LENGTHS,
    PHASES,
    POD_CONDITIONS,
    REASONS,
    TEXT_TESTS,
    TEXTS,
    VERBS,
    Assertion,
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
from minikubelet.assertions.parser import parse, parse_until

# ------------------------------------------------------------------------------------ every value


WORDS = ("pod", "job", "event", "no", "first", "last", "2nd", "before", "started", "3s", "log", "restarts")
texts = st.text(st.characters(codec="utf-8"), max_size=8)
names = st.one_of(
    st.text(string.ascii_lowercase + string.digits + "-./", min_size=1, max_size=8),
    st.sampled_from(WORDS),
    texts.filter(bool),
)
subjects = st.builds(Subject, names, st.sampled_from([None, "pod", "job"]))
whiches = st.none() | st.integers(1, 99) | st.just(-1)
states = st.sampled_from([*PHASES, *POD_CONDITIONS, *JOB_STATES, "example.com/live"]) | texts.filter(
    lambda text: text and text not in VERBS
)


def moments_with(which: st.SearchStrategy[int | None]) -> st.SearchStrategy[Moment]:
    verbs = [verb for verb in VERBS if verb != "logged"]
    return st.one_of(
        st.builds(Moment, subjects, st.sampled_from(verbs), st.none(), which),
        st.builds(Moment, subjects, states, st.none(), which),
        st.builds(Moment, subjects, st.just("logged"), texts, which),
    )


def events_with(which: st.SearchStrategy[int | None]) -> st.SearchStrategy[EventMoment]:
    reasons = st.sampled_from(sorted(REASONS)) | texts.filter(bool)
    return st.builds(EventMoment, reasons, st.none() | subjects, st.none() | texts, which)


anything = moments_with(whiches) | events_with(whiches)
often = moments_with(st.none()) | events_with(st.none())
comparisons = st.sampled_from(COMPARISONS)
lengths = st.floats(0, 1e9, allow_nan=False)
assertions: st.SearchStrategy[Assertion] = st.one_of(
    st.builds(Happened, anything),
    st.builds(Happened, often, comparisons, st.integers(0, 10**9 - 1)),
    st.builds(Order, anything, st.sampled_from(["before", "after"]), anything),
    st.builds(Distance, anything, st.just("within"), lengths, st.none() | anything),
    st.builds(Distance, anything, st.just("at least"), lengths, anything),
    st.builds(State, subjects, states, st.booleans()),
    st.builds(Count, st.sampled_from(COUNTS), subjects, comparisons, st.integers(0, 10**9 - 1)),
    st.builds(Length, st.sampled_from(LENGTHS), subjects, comparisons, lengths),
    st.builds(
        Text,
        st.sampled_from(TEXTS),
        subjects,
        st.sampled_from([test for test in TEXT_TESTS if "match" not in test]),
        texts,
    ),
    st.builds(NoKill, st.none() | subjects),
)


@given(assertions)
def test_what_is_written_is_read_back(assertion: Assertion) -> None:
    """parse(str(x)) == x, whatever the names and texts."""
    assert parse(str(assertion)) == assertion


@given(st.text() | st.lists(st.sampled_from([*WORDS, *VERBS, "==", "of", "within", '"a"'])).map(" ".join))
def test_any_text_is_an_assertion_or_an_error_with_its_place(text: str) -> None:
    """Nothing leads to a traceback or to a mark beside the text."""
    try:
        parse(text)
    except ExpressionError as error:
        assert 0 <= error.position <= len(text)


# ------------------------------------------------------------------------------------ reads like English


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("log-shipper started before main-task", "log-shipper started before main-task started"),
        ("main exited before proxy was signalled", "main exited before proxy signalled"),
        ("pod p is Succeeded", "pod p Succeeded"),
        ("pod p is not Ready", "pod p not Ready"),
        ("pod p was Ready", "pod p was Ready"),
        ("main was never killed", "main never killed"),
        ("main ready within 500ms", "main ready within 0.5s"),
        ("main exited within 1.5m after proxy", "main exited within 90s after proxy exited"),
        ("main 3rd started", "main 3rd started"),
        ("main started == 1 time", "main started == 1 times"),
        ("last event Killing of a before b", "last event Killing of a before last event Killing of b"),
        ("event BackOff never happened", "event BackOff never happened"),
        ("reason of pod p == Evicted", 'reason of pod p == "Evicted"'),
        ("log of main contains 'a \"b\"'", 'log of main contains "a \\"b\\""'),
        (r'log of main matches "\d+\."', r'log of main matches "\\d+\\."'),
        ("'pod' started", '"pod" started'),
    ],
)
def test_words_that_only_read_well_mean_nothing_of_their_own(text: str, plain: str) -> None:
    """There are a few ways to say a thing and one in which it is written."""
    assert str(parse(text)) == plain


@pytest.mark.parametrize(
    ("text", "marked", "said"),
    [
        ("main exited befor proxy", "befor", 'did you mean "before"?'),
        ("main exitd before proxy", "exitd", 'did you mean "exited"?'),
        ("pod p ready within 5", "5", "expected a duration such as 500ms, 3s, 2m or 1h"),
        ("restarts of main = 2", "=", '(equality is "==")'),
        ("restarts of main == many", "many", "expected a whole number"),
        (f"main {'9' * 5000}th started before a", "9" * 5000 + "th", "expected"),
        (f"pod p ready within {'9' * 5000}s", "9" * 5000 + "s", "expected a duration"),
        ("log of main contains films", "films", "expected a text in quotes"),
        ('log of main contains "films', '"', "this quote is never closed"),
        ('log of main matches "(a"', '"(a"', "no regular expression"),
        ("event Kiling never happened", "Kiling", 'did you mean "Killing"?'),
        ("event Killing of main", "", "expected happened"),
        ("no SIGKILL at all", "at", "expected the end"),
        ("main started twice", "twice", "expected before"),
        ("main 2nd started == 3 times", "==", "expected before"),
        ("main started before", "", "expected the name of a container, pod or Job"),
        ("", "", "expected the name of a container, pod or Job, found the end"),
        ('main "exited"', '"exited"', "stands without quotes"),
    ],
)
def test_a_fault_is_marked_where_it_is(text: str, marked: str, said: str) -> None:
    """With what was expected, or probably meant."""
    with pytest.raises(ExpressionError) as caught:
        parse(text)

    assert said in caught.value.message
    assert caught.value.position == (text.rindex(marked) if marked else len(text))
    assert str(caught.value).splitlines()[-1] == "  " + " " * caught.value.position + "^"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5s", 5.0),
        ("250ms", 0.25),
        ("pod p Ready", Moment(Subject("p", "pod"), "Ready")),
        ("main 2nd started", Moment(Subject("main"), "started", which=2)),
        ("event BackOff of main happened", EventMoment("BackOff", Subject("main"))),
    ],
)
def test_until_takes_a_length_or_a_moment(text: str, expected: object) -> None:
    """And nothing that only the end could decide."""
    assert parse_until(text) == expected


def test_every_reason_that_can_be_told_is_known() -> None:
    """A new kind of Event has to be added, or assertions about it would be refused."""
    told = re.compile(
        r'Told\(\s*"(\w+)"|_tell\("\w+", "(\w+)"|Remark\(\w[\w.]*, "\w+", "(\w+)"'
        r'|_failure_target\("(\w+)"'
    )
    sources = [
        path.read_text()
        for folder in ("lifecycle", "kubelet")
        for path in Path(minikubelet.__file__).parent.joinpath(folder).glob("*.py")
    ]
    found = {name for text in sources for names in told.findall(text) for name in names if name}

    assert {"Started", "Completed", "BackoffLimitExceeded"} <= found
    assert found <= REASONS


def test_until_takes_no_order() -> None:
    """It would be no instant."""
    with pytest.raises(ExpressionError):
        parse_until("main started before proxy")
