"""The language of lifecycle assertions: its grammar, and its values, which write themselves as text.

Knows words, not runs: whether a container of that name exists, and whether an assertion holds, is for
others. The one idea: everything is said about *moments* (`main exited`), which happen or do not, and in
some order, and about *readings* (`restarts of main`), which are compared.
"""

import re
from decimal import Decimal
from typing import Literal

import attrs

GRAMMAR = r"""
assertion = happening | order | distance | state | reading | no-kill

happening = moment                                    main started, pod db was Ready, main 3rd started
          | subject ["was"] "never" what              proxy never signalled
          | subject what compare INTEGER "times"      main started == 3 times
          | event ["never"] "happened"                event BackOff of main never happened
          | event "happened" compare INTEGER "times"
order     = moment ("before" | "after") moment
distance  = moment "within" DURATION ["after" moment]
          | moment "at" "least" DURATION "after" moment
state     = subject ["is"] ["not"] STATE              pod db Succeeded
no-kill   = "no" "SIGKILL" ["of" subject]

moment    = subject ["was"] [which] what | [which] event
            (as the second of two also: subject, of which the same is said as of the first)
what      = "started" | "up" | "ready" | "unready" | "logged" TEXT
          | "stopping" | "signalled" | "killed" | "exited" | "finished" | STATE
event     = "event" REASON ["of" subject] ["containing" TEXT]
which     = "first" | "last" | "2nd" | "3rd" | "4th" ...
subject   = ["pod" | "job"] NAME

reading   = ("restarts" | "exit" "code") "of" subject compare INTEGER
          | ("succeeded" | "failed") "pods" "of" subject compare INTEGER
          | "shutdown" "of" subject compare DURATION
          | ("log" | "message" | "reason") "of" subject text-test
text-test = ("contains" | "matches" | "does" "not" ("contain" | "match") | "==" | "!=") TEXT
compare   = "==" | "!=" | "<" | "<=" | ">" | ">="

DURATION  is a number with a unit: 500ms, 3s, 1.5m, 1h.
TEXT      stands in single or double quotes, in which \", \', \\, \n and \t are one character and any other
          backslash is itself. Names, states and reasons may be quoted, and have to be where they contain
          spaces or could be taken for something else (a container called `pod`, an unheard-of reason).
matches   looks for a regular expression of Python's anywhere in the text.

NAME      is that of a container; if there is none, of a pod; else of a Job, or of what pods belong to
          (a Deployment, say). `pod/container` and `namespace/pod/container` tell apart; a Job's name will
          do for its pods. What is said of several has to hold for each of them. Two subjects are compared
          in each pod that has both, or, where none has, each with each.
started   its process was started.              stopping   it is asked to stop, before its preStop hook;
up        its status says `started: true`.                 of a pod: it is ending.
ready     its status says `ready: true`,        signalled  its stop signal was sent.
unready   and does not any more.                killed     SIGKILL was sent.
logged    it wrote the text.                    exited     it is gone, with all its processes.
STATE     phase or condition of a pod, or a     finished   of a pod: nothing of it is left.
          condition of a Job, which became True.

The first time counts for started, up, ready, logged, STATE and events, the last time for everything on the
way down, unless it is said which. A STATE alone is how things stand at the end. Without "after", a distance
is from when the pod or Job was begun. In an order, the later moment must have happened somewhere, and
nowhere without the earlier one before it. `shutdown` lasts from stopping until exited, or finished.
"""

# ------------------------------------------------------------------------------------ words

WAY_UP = ("started", "up", "ready", "logged")
"Of these the first time is meant unless it is said which."

WAY_DOWN = ("unready", "stopping", "signalled", "killed", "exited", "finished")
"Of these the last time is meant unless it is said which."

VERBS = (*WAY_UP, *WAY_DOWN)

PHASES = ("Pending", "Running", "Succeeded", "Failed")
POD_CONDITIONS = (
    "PodScheduled",
    "PodReadyToStartContainers",
    "Initialized",
    "ContainersReady",
    "Ready",
    "AllContainersRestarting",
)
JOB_STATES = ("Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet")

Comparison = Literal["==", "!=", "<=", ">=", "<", ">"]
COMPARISONS: tuple[Comparison, ...] = ("==", "!=", "<=", ">=", "<", ">")

TextTest = Literal["contains", "does not contain", "matches", "does not match", "==", "!="]
TEXT_TESTS: tuple[TextTest, ...] = (
    "contains",
    "does not contain",
    "matches",
    "does not match",
    "==",
    "!=",
)

COUNTS = ("restarts", "exit code", "succeeded pods", "failed pods")
LENGTHS = ("shutdown",)
TEXTS = ("log", "message", "reason")

REASONS = frozenset(
    {
        "BackOff",
        "BackoffLimitExceeded",
        "Completed",
        "Created",
        "DeadlineExceeded",
        "Exited",
        "Failed",
        "FailedCreate",
        "FailedIndexes",
        "FailedMount",
        "FailedPostStartHook",
        "FailedPreStopHook",
        "InvalidSchedule",
        "Isolated",
        "JobAlreadyActive",
        "Killing",
        "LifecycleHTTPFallback",
        "LogIncomplete",
        "MaxFailedIndexesExceeded",
        "MissSchedule",
        "MissingJob",
        "PodFailurePolicy",
        "ProbeWarning",
        "RestartAllContainers",
        "RestartingAllContainers",
        "Resumed",
        "SawCompletedJob",
        "Signalled",
        "StartGate",
        "Started",
        "SuccessfulCreate",
        "SuccessfulDelete",
        "Suspended",
        "TooManyMissedTimes",
        "Unhealthy",
    }
)
"What events there are. Others have to be quoted, lest `event Kiling never happened` holds for ever."


class ExpressionError(ValueError):
    """An assertion that cannot be understood, or that speaks of what is not there.

    `str` shows the text with a mark under `position`, which counts characters from 0.
    """

    def __init__(self, text: str, position: int, message: str) -> None:
        self.text = text
        self.position = position
        self.message = message
        line = text.replace("\n", " ").replace("\t", " ")
        super().__init__(f"{message}\n  {line}\n  {' ' * position}^")


# ------------------------------------------------------------------------------------ values

_position = attrs.field(default=0, eq=False, repr=False, kw_only=True)


@attrs.frozen
class Subject:
    """Who: a container, a pod or a Job by its name, `pod/container` or `namespace/pod/container`."""

    name: str
    kind: Literal["pod", "job"] | None = None
    "None: a container, else a pod, else a Job of that name."
    position: int = _position

    def __str__(self) -> str:
        name = self.name if _is_plain_name(self.name) else quoted(self.name)
        return f"{self.kind} {name}" if self.kind else name


@attrs.frozen
class Moment:
    """Something that happens to a subject: a verb, or a phase or condition that it reaches."""

    subject: Subject
    what: str
    text: str | None = None
    "What was logged."
    which: int | None = None
    "1 is the first time, -1 the last; None: the one that the verb suggests."
    position: int = _position

    @property
    def is_state(self) -> bool:
        return self.what not in VERBS

    def __str__(self) -> str:
        return " ".join([str(self.subject), *_which_words(self.which), _what_text(self.what, self.text)])


@attrs.frozen
class EventMoment:
    """An Event of that reason comes, about that subject if one is named."""

    reason: str
    subject: Subject | None = None
    containing: str | None = None
    which: int | None = None
    position: int = _position

    def __str__(self) -> str:
        words = [*_which_words(self.which), "event"]
        words.append(self.reason if self.reason in REASONS else quoted(self.reason))
        if self.subject is not None:
            words.append(f"of {self.subject}")
        if self.containing is not None:
            words.append(f"containing {quoted(self.containing)}")
        return " ".join(words)


AnyMoment = Moment | EventMoment


@attrs.frozen
class Happened:
    """It happened, never happened, or happened so often."""

    moment: AnyMoment
    comparison: Comparison | None = None
    times: int = 1

    @property
    def is_never(self) -> bool:
        return self.comparison == "==" and self.times == 0

    def __str__(self) -> str:
        moment = self.moment
        if isinstance(moment, EventMoment):
            head = f"{moment} never happened" if self.is_never else f"{moment} happened"
        elif self.is_never and moment.which is None:
            return f"{moment.subject} never {_what_text(moment.what, moment.text)}"
        elif moment.is_state and moment.which is None and self.comparison is None:
            return f"{moment.subject} was {_what_text(moment.what, moment.text)}"
        else:
            head = str(moment)
        if self.comparison is None or (self.is_never and isinstance(moment, EventMoment)):
            return head
        return f"{head} {self.comparison} {self.times} times"


@attrs.frozen
class Order:
    left: AnyMoment
    relation: Literal["before", "after"]
    right: AnyMoment

    def __str__(self) -> str:
        return f"{self.left} {self.relation} {self.right}"


@attrs.frozen
class Distance:
    """`seconds` at most, or at least, from `after` to `moment`; never before it."""

    moment: AnyMoment
    relation: Literal["within", "at least"]
    seconds: float
    after: AnyMoment | None = None
    "None: the pod or Job was begun."

    def __str__(self) -> str:
        head = f"{self.moment} {self.relation} {_duration(self.seconds)}"
        return head if self.after is None else f"{head} after {self.after}"


@attrs.frozen
class State:
    """How a pod or Job stands at the end: its phase, or a condition that is True."""

    subject: Subject
    state: str
    negated: bool = False
    position: int = _position

    def __str__(self) -> str:
        return f"{self.subject} {'not ' * self.negated}{_what_text(self.state, None)}"


@attrs.frozen
class Count:
    reading: str
    "One of `COUNTS`."
    subject: Subject
    comparison: Comparison
    value: int

    def __str__(self) -> str:
        return f"{self.reading} of {self.subject} {self.comparison} {self.value}"


@attrs.frozen
class Length:
    reading: str
    "One of `LENGTHS`."
    subject: Subject
    comparison: Comparison
    seconds: float

    def __str__(self) -> str:
        return f"{self.reading} of {self.subject} {self.comparison} {_duration(self.seconds)}"


@attrs.frozen
class Text:
    reading: str
    "One of `TEXTS`."
    subject: Subject
    test: TextTest
    value: str

    def __str__(self) -> str:
        return f"{self.reading} of {self.subject} {self.test} {quoted(self.value)}"


@attrs.frozen
class NoKill:
    """SIGKILL was not needed: whoever was asked to stop did."""

    subject: Subject | None = None

    def __str__(self) -> str:
        return "no SIGKILL" if self.subject is None else f"no SIGKILL of {self.subject}"


Assertion = Happened | Order | Distance | State | Count | Length | Text | NoKill

# ------------------------------------------------------------------------------------ value to text

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
PLAIN_STATE = re.compile(r"[A-Z][A-Za-z0-9]*|[a-z0-9][a-z0-9.-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_KEPT = frozenset({"pod", "job", "event", "no"})  # what could begin something else than a name


def _is_plain_name(name: str) -> bool:
    return name not in _KEPT and _PLAIN_NAME.fullmatch(name) is not None


def quoted(text: str) -> str:
    escapes = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"))
    for char, escape in escapes:
        text = text.replace(char, escape)
    return f'"{text}"'


def _what_text(what: str, text: str | None) -> str:
    if what == "logged":
        return f"logged {quoted(text or '')}"
    return what if what in VERBS or PLAIN_STATE.fullmatch(what) else quoted(what)


def _which_words(which: int | None) -> list[str]:
    if which is None:
        return []
    return [{1: "first", -1: "last"}.get(which) or ordinal(which)]


def ordinal(number: int) -> str:
    """2nd, 3rd, 11th."""
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _duration(seconds: float) -> str:
    return f"{Decimal(repr(seconds)):f}".removesuffix(".0") + "s"
