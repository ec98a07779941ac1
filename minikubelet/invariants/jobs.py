"""How many pods a Job has, what they count as, and how it ends (JOB)."""

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate, pairwise

from minikubelet.invariants.job_story import JobStory, Turn
from minikubelet.invariants.rules import Breach, job_invariant

LATCHES = ("FailureTarget", "Failed", "SuccessCriteriaMet", "Complete")


@job_invariant(
    "JOB-1 JOB-4 JOB-6 JOB-11 JOB-15 JOB-18",
    "active, ready, terminating, succeeded and failed are what the Job's pods have shown, each pod counted "
    "once.",
)
def job_counts_are_exact(story: JobStory) -> Iterator[Breach]:
    for turn in story.turns:
        for field in ("active", "ready", "terminating", "succeeded", "failed"):
            shown, counted = getattr(turn.status, field), getattr(turn.counts, field)
            if shown != counted:
                yield Breach(turn.moment, f"{field} is published as {shown}, the pods say {counted}")


@job_invariant(
    "JOB-21 JOB-23 JOB-24", "completedIndexes and failedIndexes list what succeeded and what failed."
)
def job_indexes_are_exact(story: JobStory) -> Iterator[Breach]:
    for turn in story.turns:
        for field in ("completed_indexes", "failed_indexes"):
            shown, counted = getattr(turn.status, field), getattr(turn, field)
            if shown != counted:
                yield Breach(turn.moment, f"{field} is published as {shown!r}, the pods say {counted!r}")


@job_invariant(
    "JOB-2 JOB-3", "Never are more pods active than parallelism, nor more than are still to succeed."
)
def job_parallelism_is_kept(story: JobStory) -> Iterator[Breach]:
    spec = story.spec
    for turn in story.turns:
        most = spec.parallelism or 0
        if spec.completions is not None:
            most = min(most, max(spec.completions - turn.counts.succeeded, 0))
        if turn.verdict is None and turn.counts.active > most:
            yield Breach(turn.moment, f"{turn.counts.active} pods are active where {most} may be")


@job_invariant("JOB-5 JOB-21", "No two pods work on the same index, and none on one that has succeeded.")
def job_indexes_are_worked_on_once(story: JobStory) -> Iterator[Breach]:
    done: set[int] = set()
    for turn in story.turns:
        for index in turn.twice:
            yield Breach(turn.moment, f"two pods work on index {index}")
        for pod in turn.created:
            if pod.index in done:
                yield Breach(pod.created, f"{pod.name} is to do again what has succeeded")
        done.update(p.index for p in turn.noticed if p.outcome == "succeeded" and p.index is not None)


@job_invariant(
    "JOB-2 JOB-3 JOB-5 JOB-8 JOB-9 JOB-15 JOB-16 JOB-21 JOB-24 JOB-27 JOB-29",
    "A pod is made when one is missing and the back-off since the last failure is over, for the lowest index "
    "that needs one, and by no Job that has a verdict, is suspended or is deleted.",
)
def job_pods_are_made_when_due(story: JobStory) -> Iterator[Breach]:
    for turn in story.turns:
        made = [pod.index for pod in turn.created]
        most, fewest = turn.creations.most, turn.creations.fewest
        if made == most or (story.tolerance and _is_between(made, fewest, most)):
            continue
        if len(made) > len(most):
            message = f"{len(made)} pods were made where {len(most)} may be"
        elif len(made) < len(fewest):
            message = f"{len(made)} pods were made where {len(fewest)} are due"
        else:
            message = f"pods were made for the indexes {made}, due were {most}"
        yield Breach(turn.created[0].created if turn.created else turn.moment, message)


def _is_between(made: list[int | None], fewest: list[int | None], most: list[int | None]) -> bool:
    """In real time some are certainly due; some may be, and become so after others have been made."""
    indexes = [index for index in made if index is not None]
    in_order = all(
        index == highest or index not in fewest
        for index, highest in zip(indexes, accumulate(indexes, max), strict=True)
    )
    return in_order and Counter(fewest) <= Counter(made) <= Counter(most)


@job_invariant("JOB-24", "A pod is told how often its index has failed so far.")
def job_pods_know_their_failures(story: JobStory) -> Iterator[Breach]:
    for moment, message in story.wrong_annotations:
        yield Breach(moment, message)


@job_invariant(
    "JOB-3 JOB-10 JOB-12 JOB-13 JOB-14 JOB-16 JOB-17 JOB-18 JOB-24 JOB-25 JOB-26 SIDE-37",
    "FailureTarget and SuccessCriteriaMet come in the turn in which their reason does, and for the first "
    "reason in the order of JOB-14: a FailJob rule, backoffLimit, deadline, failed indexes, success.",
)
def job_verdicts_are_exact(story: JobStory) -> Iterator[Breach]:
    for turn in story.turns:
        shown = [
            (c.type, c.reason)
            for c in turn.status.conditions
            if c.type in ("FailureTarget", "SuccessCriteriaMet") and c.status == "True"
        ]
        if turn.due_verdict is None:
            if shown and turn.verdict is None:
                yield Breach(
                    turn.moment, f"the Job came to {shown[0][0]} ({shown[0][1]}), and nothing was so"
                )
        elif shown != [turn.due_verdict]:
            wanted = f"{turn.due_verdict[0]} ({turn.due_verdict[1]})"
            yield Breach(turn.moment, f"the Job is to come to {wanted} and has {shown or 'no verdict'}")


@job_invariant(
    "JOB-15 JOB-16 JOB-17 JOB-30",
    "Failed and Complete come with the end of the last pod after the verdict, for the same reason, and "
    "not before.",
)
def job_ends_with_its_last_pod(story: JobStory) -> Iterator[Breach]:
    for turn in story.turns:
        for target, end in (("FailureTarget", "Failed"), ("SuccessCriteriaMet", "Complete")):
            verdict, ended = turn.condition(target), turn.condition(end)
            if ended is None:
                if verdict is not None and not turn.unfinished:
                    yield Breach(turn.moment, f"no pod is left, and the Job is not {end}")
            elif verdict is None or verdict.reason != ended.reason:
                yield Breach(turn.moment, f"the Job is {end} without a {target} for that reason")
            elif turn.unfinished:
                yield Breach(turn.moment, f"the Job is {end} with {turn.unfinished} pods unfinished")
            if end == "Complete" and (ended is None) is not (turn.status.completion_time is None):
                yield Breach(turn.moment, "completionTime is there without Complete, or the other way round")


@job_invariant(
    "JOB-16 JOB-17", "A Job of fixed completions without successPolicy is Complete with exactly these."
)
def job_completions_are_exact(story: JobStory) -> Iterator[Breach]:
    completions = story.spec.completions
    if completions is None or story.spec.success_policy is not None:
        return
    for turn in story.turns:
        if turn.condition("Complete") is not None and turn.status.succeeded != completions:
            yield Breach(turn.moment, f"Complete with {turn.status.succeeded} of {completions}")


@job_invariant(
    "JOB-15 JOB-16 JOB-29", "No condition of a Job's end is ever taken back, and there is one end."
)
def job_conditions_last(story: JobStory) -> Iterator[Breach]:
    for before, after in pairwise(story.turns):
        for kind in LATCHES:
            if before.condition(kind) is not None and after.condition(kind) is None:
                yield Breach(after.moment, f"{kind} was taken back")
    for turn in story.turns[-1:]:
        if turn.condition("FailureTarget") is not None and turn.condition("SuccessCriteriaMet") is not None:
            yield Breach(turn.moment, "the Job has failed and succeeded")


@job_invariant(
    "JOB-6 JOB-15 JOB-16 JOB-27", "A Job with a verdict, suspended or deleted leaves no pod at work."
)
def job_leaves_no_pod_at_work(story: JobStory) -> Iterator[Breach]:
    for turn in story.turns:
        idle = turn.verdict is not None or turn.is_deleted or story.spec.suspend
        if idle and turn.counts.active:
            yield Breach(turn.moment, f"{turn.counts.active} pods were not deleted")


@job_invariant("JOB-27", "A Job that is suspended says so, and one that is not does not.")
def job_suspension_is_shown(story: JobStory) -> Iterator[Breach]:
    for turn in story.turns:
        if turn.verdict is None and not turn.is_deleted:
            is_shown = turn.condition("Suspended") is not None
            if is_shown is not story.spec.suspend:
                yield Breach(turn.moment, f"suspend is {story.spec.suspend}, Suspended is {is_shown}")


@job_invariant(
    "JOB-1 JOB-8 JOB-13 JOB-24",
    "A Job takes notice at once of what its pods publish, and of its deadline and the end of a back-off.",
)
def jobs_take_notice_at_once(story: JobStory) -> Iterator[Breach]:
    horizon = story.last_at if story.over is None else story.over.at
    for turn in story.turns:
        for name in turn.late:
            yield Breach(turn.moment, f"what {name} published was noticed late")
    for before, after in pairwise(story.turns):
        if before.next_due + story.slack < after.moment.at:
            yield Breach(after.moment, f"nothing happened at {before.next_due:g} s, and something was due")
    last = story.turns[-1]
    if not _is_forgotten(story, last):
        if last.next_due + story.slack < horizon:
            yield Breach(story.over, f"nothing happened at {last.next_due:g} s, and something was due")
        for pod, at in story.unnoticed.values():
            if at + story.slack < horizon:
                yield Breach(story.over, f"what {pod.name} published at {at:g} s was never noticed")


def _is_forgotten(story: JobStory, last: Turn) -> bool:
    """JOB-28: it may be gone after this turn."""
    return story.spec.ttl_seconds_after_finished is not None and _has_ended(last)


def _has_ended(turn: Turn) -> bool:
    return turn.condition("Complete") is not None or turn.condition("Failed") is not None


@job_invariant("JOB-28", "A Job that has outlived its ttlSecondsAfterFinished is gone.")
def job_time_to_live_is_kept(story: JobStory) -> Iterator[Breach]:
    ttl, gone_at = story.spec.ttl_seconds_after_finished, None
    if ttl is None:
        return
    for turn in story.turns:
        if gone_at is not None and turn.moment.at > gone_at + story.slack:
            yield Breach(turn.moment, f"the Job should be gone since {gone_at:g} s")
        elif gone_at is None and _has_ended(turn):
            gone_at = turn.moment.at + ttl


@job_invariant(
    "JOB-15 JOB-16 CORE-2", "A run counts as finished only when each Job has an end or is deleted."
)
def finished_means_jobs_ended(story: JobStory) -> Iterator[Breach]:
    last = story.turns[-1]
    is_gone = _has_ended(last) or _is_forgotten(story, last) or (last.is_deleted and not last.unfinished)
    if story.over is not None and story.over.detail and not is_gone:
        yield Breach(story.over, "the run counts as finished, and this Job was neither over nor deleted")
