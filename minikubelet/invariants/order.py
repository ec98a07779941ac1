"""Who may start, and when: the order of the start, the gates, and never two at once (INIT, SIDE, MAIN)."""

from collections.abc import Iterator
from itertools import pairwise

from minikubelet.invariants.rules import Breach, pod_invariant
from minikubelet.invariants.story import PodStory


@pod_invariant("I9 STATUS-3", "At most one attempt of a container is ever alive.")
def one_live_attempt(story: PodStory) -> Iterator[Breach]:
    for attempts in story.attempts.values():
        for before, after in pairwise(attempts):
            if after.began < before.ended:
                yield Breach(after.started, f"{after.name} was started while an attempt of it was alive")


@pod_invariant("I8 INIT-1 INIT-2", "No init container is alive while a main container is.")
def inits_never_overlap_mains(story: PodStory) -> Iterator[Breach]:
    mains = [attempt for main in story.mains for attempt in story.attempts[main.name]]
    for name in story.inits:
        for init in story.attempts[name]:
            for main in mains:
                if main.is_live_at(init.began) or init.is_live_at(main.began):
                    later = max(init.started, main.started, key=lambda moment: moment.index)
                    yield Breach(later, f"init {name} and main {main.name} were alive together")
