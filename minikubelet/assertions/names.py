"""What the names in an assertion stand for.

Knows who takes part in a run, from its manifest or from what came of it, and says whom a subject means:
always a list, since one container of a Job or a Deployment can be there many times.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import attrs

from minikubelet.api.job import Job
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Pod, PodSpec
from minikubelet.assertions.language import (
    JOB_STATES,
    PHASES,
    POD_CONDITIONS,
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
from minikubelet.assertions.parser import closest
from minikubelet.assertions.run import Target

if TYPE_CHECKING:
    from minikubelet.api.cron_job import CronJob

_POD_VERBS = ("stopping", "finished")
_CONTAINER_VERBS = tuple(verb for verb in VERBS if verb != "finished")

Word = Literal["container", "pod", "job"]
_JOB: tuple[Word, ...] = ("job",)
_READING_KINDS: dict[str, tuple[Word, ...]] = {
    "restarts": ("container",),
    "exit code": ("container",),
    "succeeded pods": _JOB,
    "failed pods": _JOB,
    "shutdown": ("container", "pod", "job"),
    "log": ("container",),
    "message": ("container", "pod", "job"),
    "reason": ("container", "pod", "job"),
}


@attrs.frozen
class Actor:
    """A pod or a Job. `key` is None for the pods that a Job may yet make."""

    kind: Literal["Pod", "Job"]
    namespace: str
    name: str | None
    owners: tuple[str, ...]
    key: str | None
    containers: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    "Condition types of a pod's readinessGates."

    @property
    def names(self) -> tuple[str, ...]:
        return self.owners if self.name is None else (self.name, *self.owners)


@attrs.frozen
class Cast:
    """Everybody in a run, and how to find them by name."""

    actors: tuple[Actor, ...]

    @classmethod
    def of(cls, pods: Iterable[Pod], jobs: Iterable[Job], cron_jobs: "Iterable[CronJob]" = ()) -> "Cast":
        """Those that there are, and the pods and Jobs that they may yet make."""
        jobs = tuple(jobs)
        owners_of_jobs = {job.key: _owners(job.metadata) for job in jobs}
        actors: list[Actor] = []
        for pod in pods:
            meta = pod.metadata
            owners = tuple(
                name
                for owner in _owners(meta)
                for name in (owner, *owners_of_jobs.get(f"{meta.namespace}/{owner}", ()))
            )
            actors.append(_pod_actor(meta.namespace, meta.name, owners, pod.key, pod.spec))
        for job in jobs:
            meta = job.metadata
            owners = owners_of_jobs[job.key]
            actors.append(Actor("Job", meta.namespace, meta.name, owners, job.key))
            spec = job.spec.template.spec
            actors.append(_pod_actor(meta.namespace, None, (meta.name, *owners), None, spec))
        for cron_job in cron_jobs:
            meta, spec = cron_job.metadata, cron_job.spec.job_template.spec.template.spec
            actors.append(Actor("Job", meta.namespace, None, (meta.name,), None))
            actors.append(_pod_actor(meta.namespace, None, (meta.name,), None, spec))
        return cls(tuple(actors))

    # -------------------------------------------------------------- who is meant

    def find(self, subject: Subject) -> list[Target]:
        """The targets that there are; empty if the name is known but nobody has it yet."""
        return [
            Target(actor.kind, actor.key, container)
            for actor, container in self._meant(subject)
            if actor.key is not None
        ]

    def _meant(self, subject: Subject) -> list[tuple[Actor, str | None]]:
        path = subject.name.split("/")
        return next(filter(None, (list(found) for found in self._readings(subject, path))), [])

    def _readings(
        self, subject: Subject, path: Sequence[str]
    ) -> Iterator[Iterator[tuple[Actor, str | None]]]:
        """What the name can mean, the nearest first."""
        if subject.kind is None:
            yield (
                (actor, container)
                for actor in self.actors
                for container in actor.containers
                if any(_ends(path, actor.namespace, name, container) for name in actor.names)
            )
        if subject.kind != "job":
            yield self._objects("Pod", path, by_owner=False)
        if subject.kind != "pod":
            yield self._objects("Job", path, by_owner=False)
            yield self._objects("Job", path, by_owner=True)
        if subject.kind != "job":
            yield self._objects("Pod", path, by_owner=True)

    def _objects(
        self, kind: str, path: Sequence[str], *, by_owner: bool
    ) -> Iterator[tuple[Actor, str | None]]:
        for actor in self.actors:
            names = actor.owners if by_owner else (actor.name,) if actor.name is not None else ()
            if actor.kind == kind and any(_ends(path, actor.namespace, name) for name in names):
                yield actor, None

    # -------------------------------------------------------------- does it make sense

    def check(self, text: str, said: "Assertion | Moment | EventMoment") -> None:
        """Raises `ExpressionError` if a name is nobody's, or something is said that cannot be of them."""
        match said:
            case Happened(moment):
                self.check(text, moment)
            case Order(left, _, right):
                self.check(text, left)
                self.check(text, right)
            case Distance(moment, after=after):
                self.check(text, moment)
                if after is not None:
                    self.check(text, after)
            case Moment(subject, what) if said.is_state:
                self._check_state(text, subject, what, said.position)
            case Moment(subject, what):
                self._check_verb(text, subject, what, said.position)
            case EventMoment(subject=Subject() as subject) | NoKill(Subject() as subject):
                self._kind(text, subject)
            case State(subject, state):
                self._check_state(text, subject, state, said.position)
            case Count(reading, subject) | Length(reading, subject) | Text(reading, subject):
                self._check_reading(text, subject, reading)

    def _kind(self, text: str, subject: Subject) -> Word:
        meant = self._meant(subject)
        if not meant:
            self._nobody(text, subject)
        actor, container = meant[0]
        return "container" if container is not None else "pod" if actor.kind == "Pod" else "job"

    def _check_verb(self, text: str, subject: Subject, verb: str, position: int) -> None:
        kind = self._kind(text, subject)
        if kind == "container" and verb not in _CONTAINER_VERBS:
            raise ExpressionError(text, position, f"{verb} is said of pods, and {subject} is a container")
        if kind == "pod" and verb not in _POD_VERBS:
            hint = f"; did you mean {near}?" if (near := closest(verb, POD_CONDITIONS)) else ""
            message = f"{verb} is said of containers, and {subject} is a pod{hint}"
            raise ExpressionError(text, position, message)
        if kind == "job":
            message = f"of a Job one says {', '.join(JOB_STATES)}, not {verb}"
            raise ExpressionError(text, position, message)

    def _check_state(self, text: str, subject: Subject, state: str, position: int) -> None:
        kind = self._kind(text, subject)
        if kind == "container":
            message = f"{state} is said of pods and Jobs, and {subject} is a container"
            if any(self._objects("Pod", subject.name.split("/"), by_owner=False)):
                message += f"; did you mean pod {subject}?"
            raise ExpressionError(text, position, message)
        known: tuple[str, ...] = JOB_STATES
        if kind == "pod":
            gates = [gate for actor, _ in self._meant(subject) for gate in actor.gates]
            known = (*PHASES, *POD_CONDITIONS, *dict.fromkeys(gates))
        if state not in known:
            word = "phase or condition of a pod" if kind == "pod" else "condition of a Job"
            near = closest(state, known)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
            raise ExpressionError(text, position, f"{state} is no {word}; {hint}")

    def _check_reading(self, text: str, subject: Subject, reading: str) -> None:
        kind = self._kind(text, subject)
        kinds = _READING_KINDS[reading]
        if kind not in kinds:
            whose = " or ".join({"job": "Job"}.get(one, one) for one in kinds)
            named = {"job": "Job"}.get(kind, kind)
            message = f"{reading} is that of a {whose}, and {subject} is a {named}"
            raise ExpressionError(text, subject.position, message)

    def _nobody(self, text: str, subject: Subject) -> None:
        what = {"pod": "pod", "job": "Job", None: "container, pod or Job"}[subject.kind]
        known = list(dict.fromkeys(self._known(subject.kind)))
        near = closest(subject.name, known)
        message = f'there is no {what} "{subject.name}"'
        if near:
            message += f'; did you mean "{near}"?'
        elif known:
            message += f"; there {'is' if len(known) == 1 else 'are'} {', '.join(known)}"
        raise ExpressionError(text, subject.position, message)

    def _known(self, kind: str | None) -> Iterator[str]:
        for actor in self.actors:
            if kind is None:
                yield from actor.containers
        for actor in self.actors:
            if kind in (None, actor.kind.lower()):
                yield from actor.names


def _pod_actor(
    namespace: str, name: str | None, owners: tuple[str, ...], key: str | None, spec: PodSpec
) -> Actor:
    gates = tuple(gate.condition_type for gate in spec.readiness_gates)
    return Actor("Pod", namespace, name, owners, key, tuple(spec.all_containers), gates)


def _owners(meta: ObjectMeta) -> tuple[str, ...]:
    """A Deployment's pods belong to a ReplicaSet, whose name says whose that is."""
    names = []
    for owner in meta.owner_references:
        names.append(owner.name)
        template_hash = meta.labels.get("pod-template-hash")
        if owner.kind == "ReplicaSet" and template_hash:
            names.append(owner.name.removesuffix(f"-{template_hash}"))
    return tuple(names)


def _ends(path: Sequence[str], *full: str) -> bool:
    return 0 < len(path) <= len(full) and tuple(path) == full[-len(path) :]
