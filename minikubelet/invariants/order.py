"""Who may start, and when: the order of the start, the gates, and never two at once (INIT, SIDE, MAIN).

An incarnation is what lies between two in-place restarts of all containers (RESTART-13); a pod without any
has one. Nothing of one incarnation counts for the order within the next.
"""

from collections.abc import Iterator
from itertools import pairwise

from minikubelet.invariants.course import Course, Start
from minikubelet.invariants.rules import Breach, pod_invariant
from minikubelet.invariants.story import PodStory

# ------------------------------------------------------------------ processes


@pod_invariant("I9 STATUS-3", "At most one attempt of a container is ever alive.")
def one_live_attempt(story: PodStory) -> Iterator[Breach]:
    for attempts in story.attempts.values():
        for before, after in pairwise(attempts):
            if after.began < before.ended:
                yield Breach(after.started, f"{after.name} was started while an attempt of it was alive")


@pod_invariant("STATUS-3 STATUS-9 INIT-6", "Attempts of a container are numbered 0, 1, 2 and so on.")
def attempts_are_counted(story: PodStory) -> Iterator[Breach]:
    """Without gaps, over in-place restarts too; a start that leaves no instance uses up no number."""
    for start in story.read(Course).starts:
        if start.attempt != start.next_attempt:
            name, number = start.container.name, start.next_attempt
            yield Breach(
                start.moment, f"attempt {start.attempt} of {name} was started where {number} was due"
            )


@pod_invariant("VOL-6 COND-9", "Nothing is started before the pod is prepared.")
def nothing_before_prepared(story: PodStory) -> Iterator[Breach]:
    prepared = story.read(Course).prepared
    for start in story.read(Course).starts:
        if prepared is None or start.moment.index < prepared.index:
            yield Breach(start.moment, f"{start.container.name} was started in a pod that is not prepared")


@pod_invariant(
    "CORE-1 TERM-14", "No process is alive when the pod is removed, and no container is touched afterwards."
)
def nothing_outlives_the_pod(story: PodStory) -> Iterator[Breach]:
    if story.removed is None:
        return
    alive = story.read(Course).alive_at_removal
    if alive:
        yield Breach(story.removed, f"{', '.join(alive)} lived on when the pod was removed")
    for moment in reversed(story.moments):
        if moment.index <= story.removed.index:
            return
        if moment.entry.container or moment.entry.what in ("prepared", "prepareFailed", "removed"):
            yield Breach(moment, f"{moment.entry.what} after the pod was removed")


@pod_invariant(
    "I9 TERM-17 HOOK-5 HOOK-10 PROBE-10", "Signals, hooks and probes go only to containers that are alive."
)
def nothing_for_the_dead(story: PodStory) -> Iterator[Breach]:
    for moment, what in story.read(Course).too_late:
        yield Breach(moment, f"{what} when it had ended")


# ------------------------------------------------------------------ the way up


@pod_invariant("I9 TERM-14", "A name is given to another pod only when the one that had it is gone.")
def names_are_used_again_when_free(story: PodStory) -> Iterator[Breach]:
    former = story.predecessor
    if former is not None and former.removed is None:
        yield Breach(story.moments[0] if story.moments else None, "the pod of this name was not removed yet")


@pod_invariant("I8 INIT-1 INIT-2 INIT-6", "No init container is alive while a main container is.")
def inits_never_overlap_mains(story: PodStory) -> Iterator[Breach]:
    for start in story.read(Course).starts:
        if start.role != "sidecar":
            for name in start.alive:
                if name in story.inits if start.role == "main" else name in _main_names(story):
                    kind = "init" if start.role == "main" else "main"
                    yield Breach(
                        start.moment, f"{start.container.name} was started while {kind} {name} was alive"
                    )


@pod_invariant("INIT-1 TERM-7 SIDE-29", "At most one init container is alive at a time.")
def one_init_at_a_time(story: PodStory) -> Iterator[Breach]:
    if len(story.inits) < 2:
        return
    for start in story.read(Course).starts:
        if start.role == "init":
            for name in start.alive:
                if name in story.inits and name != start.container.name:
                    yield Breach(
                        start.moment, f"{start.container.name} was started while init {name} was alive"
                    )


@pod_invariant(
    "I1 INIT-1 SIDE-3 SIDE-4 SIDE-8",
    "An entry of initContainers is started only when every entry before it is initialized.",
)
def inits_start_in_order(story: PodStory) -> Iterator[Breach]:
    """In the same incarnation: an init has exited 0 (and no rule runs it again), a sidecar has had its
    postStart return and its startupProbe succeed. The start gate `ready` also has a sidecar with a
    readinessProbe and no startupProbe be ready once. Losing a sidecar later closes no gate (SIDE-6).
    """
    entries = story.spec.init_containers
    for start in story.read(Course).starts:
        if start.role != "main" and start.is_first:
            allowed = [entry.name for entry in entries[: start.passed + 1]]
            if start.container.name not in allowed:
                yield _too_early(start, allowed[-1])


@pod_invariant(
    "I1 INIT-2 SIDE-3 SIDE-4 SIDE-8",
    "A main container is started only when every initContainer is initialized in the same incarnation.",
)
def mains_start_after_inits(story: PodStory) -> Iterator[Breach]:
    """Under both start gates; see inits-start-in-order."""
    entries = story.spec.init_containers
    for start in story.read(Course).starts:
        if start.role == "main" and start.passed < len(entries):
            yield _too_early(start, entries[start.passed].name)


@pod_invariant("I8 INIT-6", "An init container that has completed is not started again in that incarnation.")
def completed_inits_stay_down(story: PodStory) -> Iterator[Breach]:
    for start in story.read(Course).starts:
        if start.role == "init":
            passed = story.spec.init_containers[: start.passed]
            if any(entry.name == start.container.name for entry in passed):
                yield Breach(start.moment, f"init {start.container.name} had completed and was started again")


@pod_invariant(
    "MAIN-1 HOOK-2",
    "Mains are started in the order of the list, and none for the first time before the postStart of those "
    "before it has returned.",
)
def mains_start_in_order(story: PodStory) -> Iterator[Breach]:
    """A main that fails to start or crashes holds up nobody."""
    for start in story.read(Course).starts:
        if start.held_up_by is not None:
            message = f"{start.container.name} was started before {start.held_up_by}, or in its postStart"
            yield Breach(start.moment, message)


# ------------------------------------------------------------------ the way down


@pod_invariant(
    "I9 CORE-1 RESTART-1 SIDE-25 SIDE-32 SIDE-33 TERM-7 TERM-8 TERM-10 INIT-3",
    "Nothing is started once the pod is ending, whatever ends it.",
)
def nothing_starts_while_ending(story: PodStory) -> Iterator[Breach]:
    """A deletion, the deadline, an init failure, the end of the last main; and until everything is gone also
    a RestartAllContainers rule (RESTART-13)."""
    for start in story.read(Course).starts:
        if start.end is not None:
            cause, at = start.end.cause, start.end.moment.at
            yield Breach(
                start.moment, f"{start.container.name} was started, but the pod is {cause} since {at:g}"
            )


@pod_invariant(
    "RESTART-13 RESTART-16",
    "All containers are started over in place only when a rule asked for it and all are gone.",
)
def restarts_in_place_are_clean(story: PodStory) -> Iterator[Breach]:
    course = story.read(Course)
    asked = [end for end in course.ends if end.cause == "restartAll"]
    for number, (moment, alive) in enumerate(course.rebirths):
        if number >= len(asked) or asked[number].moment.index > moment.index:
            yield Breach(moment, "all containers were started over and no rule asked for it")
        elif alive:
            yield Breach(moment, f"the pod was started over while {', '.join(alive)} was alive")


def _too_early(start: Start, gate: str) -> Breach:
    return Breach(start.moment, f"{start.container.name} was started before {gate} was initialized")


def _main_names(story: PodStory) -> set[str]:
    return {main.name for main in story.mains}
