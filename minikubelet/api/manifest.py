"""Files to API objects: everything between the text of a manifest and what can be run.

Reads, decodes (`nodes`, `check`), applies the verdicts (`schema`), defaults, validation and templates, and
collects all that is wrong on the way instead of stopping at the first fault. Nothing here asks whether this
machine can run the result; whoever does complains through a `Loaded` object's origin, which knows the place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TextIO, TypeVar

from minikubelet.api import schema
from minikubelet.api.check import Fault, decode, quoted
from minikubelet.api.codec import from_wire
from minikubelet.api.config import ConfigMap, Secret
from minikubelet.api.defaults import (
    default_cron_job,
    default_job,
    default_pod,
    default_pod_template,
    default_service,
)
from minikubelet.api.errors import FieldError, ManifestError, Notice, Origin, shown
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.nodes import (
    MAX_DEPTH,
    MappingNode,
    Node,
    Positions,
    ScalarNode,
    SequenceNode,
    SyntaxFault,
    key_text,
    parse,
    resolve,
)
from minikubelet.api.patterns import pattern
from minikubelet.api.pod import Pod, PodTemplateSpec
from minikubelet.api.rules import Complaint, duplicate, invalid, required, unsupported
from minikubelet.api.templates import Names, pods_of, with_claim_volumes
from minikubelet.api.validation import validate_config_map, validate_pod, validate_secret
from minikubelet.api.values import Factory, evolve, field, frozen

if TYPE_CHECKING:
    import random as random_module

    from minikubelet.api.cron_job import CronJob
    from minikubelet.api.job import Job
    from minikubelet.api.service import Service

T = TypeVar("T")

SUFFIXES = (".yaml", ".yml", ".json")
"What is read of a directory, as kubectl does; `images.yaml` is not a manifest."

STDIN = "-"
"The source that is standard input."

MAX_BYTES = 10 * 1024 * 1024
"Of a file, as of the kubelet's own manifests (`maxConfigLength`, pkg/kubelet/config)."
MAX_FAULTS = 1_000
"Of an object that are told."

CONTROLLERS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController")


@frozen
class Loaded(Generic[T]):
    """An object to run, and where it came from."""

    obj: T
    origin: Origin
    "Its prefix leads to the pod, if it makes pods, also for a Job: `spec.template.`."


@frozen
class Document:
    """One object of the input as it was given, for those who look at its fields."""

    type_name: str
    data: Mapping[str, Any] = field(repr=False)
    "As on the wire, without defaults."
    origin: Origin
    "Without a prefix."


@frozen
class Manifest:
    pods: tuple[Loaded[Pod], ...] = ()
    jobs: tuple[Loaded[Job], ...] = ()
    cron_jobs: tuple[Loaded[CronJob], ...] = ()
    services: tuple[Loaded[Service], ...] = ()
    config_maps: Mapping[str, ConfigMap] = Factory(dict)
    "By `namespace/name`."
    secrets: Mapping[str, Secret] = Factory(dict)
    "By `namespace/name`."
    notices: tuple[Notice, ...] = ()
    documents: tuple[Document, ...] = ()


def load(
    sources: Sequence[str],
    *,
    stdin: TextIO | None = None,
    run_now: bool = False,
    to_run: bool = True,
    random: random_module.Random | None = None,
    now: float | None = None,
) -> Manifest:
    """Read files, directories (their *.yaml, *.yml and *.json, not deeper ones) and `-`, which is `stdin`.

    `run_now` takes each CronJob for the one Job that it would start now; otherwise it is kept as it is.
    `to_run` makes it a fault if there is nothing to run, such as a ConfigMap alone.
    `random` draws generated names, `now` is the time for names that tell it, in seconds since the Unix epoch.
    Raises ManifestError with every fault of every file.
    """
    loader = _Loader(Names(random), run_now, now)
    for file, text in _read(sources, stdin, loader.errors):
        loader.read(file, text)
    return loader.finish(sources, to_run)


# ------------------------------------------------------------------ files


def _read(
    sources: Sequence[str], stdin: TextIO | None, errors: list[FieldError]
) -> Iterator[tuple[str, str]]:
    """Name and text of each file; what cannot be read goes to `errors`."""
    for source in sources:
        try:
            files = [_STDIN] if source == STDIN else files_of(source)
        except OSError as error:
            errors.append(FieldError(source or "''", 0, 0, "", "", _reason(error)))
            continue
        if not files:
            errors.append(
                FieldError(source, 0, 0, "", "", f"no {', '.join(SUFFIXES)} file in this directory")
            )
        for file in files:
            try:
                data = _bytes_of(stdin if source == STDIN else file)
                if len(data) > MAX_BYTES:
                    message = f"larger than {MAX_BYTES // 2**20} MiB"
                    errors.append(FieldError(file, 0, 0, "", "", message))
                else:
                    yield file, data.decode().removeprefix("\ufeff")
            except OSError as error:
                errors.append(FieldError(file or "''", 0, 0, "", "", _reason(error)))
            except UnicodeDecodeError as error:
                line = error.object.count(b"\n", 0, error.start) + 1
                hint = " but UTF-16" if error.object.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
                errors.append(FieldError(file, line, 1, "", "", f"not UTF-8 text{hint}"))


_STDIN = "<stdin>"


def _bytes_of(source: str | TextIO | None) -> bytes:
    """What a file, or standard input, holds, whatever the locale makes of it; nothing if that is closed.

    A byte more than is allowed, at most: neither /dev/zero nor a pipe without end is read to its end.
    """
    if source is None:
        return b""
    if isinstance(source, str):
        with open(source, "rb") as stream:
            return stream.read(MAX_BYTES + 1)
    raw = getattr(source, "buffer", None)  # StringIO has none
    data: bytes = source.read(MAX_BYTES + 1).encode() if raw is None else raw.read(MAX_BYTES + 1)
    return data


def files_of(source: str) -> list[str]:
    """The files that `load` reads for a file or directory. Raises `OSError`."""
    if not os.path.isdir(source):
        return [source]
    names = sorted(name for name in os.listdir(source) if name.endswith(SUFFIXES) and name != "images.yaml")
    return [path for path in (os.path.join(source, name) for name in names) if os.path.isfile(path)]


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


# ------------------------------------------------------------------ objects

_RENDER_FIRST = "this is a template; render it first, for example with `helm template`"
_OUR_GROUPS = ("", "apps", "batch", "extensions")


class _Loader:
    def __init__(self, names: Names, run_now: bool, now: float | None) -> None:
        self.names = names
        self.run_now = run_now
        self.now = now
        self.errors: list[FieldError] = []
        self.pods: list[Loaded[Pod]] = []
        self.jobs: list[Loaded[Job]] = []
        self.cron_jobs: list[Loaded[CronJob]] = []
        self.services: list[Loaded[Service]] = []
        self.config_maps: dict[str, ConfigMap] = {}
        self.secrets: dict[str, Secret] = {}
        self.passed_over: dict[str, list[str]] = {}
        self.documents: list[Document] = []
        self.places: dict[tuple[str, str], Origin] = {}
        self.runnable = False

    def read(self, file: str, text: str) -> None:
        before = len(self.errors)
        for root in parse(text):
            if isinstance(root, SyntaxFault):
                self.errors.append(FieldError(file, root.line, root.column, "", "", root.message))
            else:
                self.document(file, root)
        mine = sorted(dict.fromkeys(self.errors[before:]), key=lambda error: (error.line, error.column))
        self.errors[before:] = _advised(file, text, mine)

    def finish(self, sources: Sequence[str], to_run: bool) -> Manifest:
        is_enough = self.runnable or (not to_run and (self.documents or self.passed_over))
        if not is_enough and not self.errors:
            place = ", ".join(_STDIN if source == STDIN else source for source in sources)
            kinds = "Pod, Job, CronJob, " + ", ".join(CONTROLLERS)
            others = f"; passed over: {', '.join(map(shown, self.passed_over))}" if self.passed_over else ""
            nothing = "nothing to run" if to_run else "nothing to check"
            self.errors.append(FieldError(place, 0, 0, "", "", f"{nothing}: no {kinds}{others}"))
        if self.errors:
            raise ManifestError(self.errors)
        passed = [
            Notice(f"passed over, minikubelet does not run {kind}", tuple(names))
            for kind, names in self.passed_over.items()
        ]
        return Manifest(
            tuple(self.pods),
            tuple(self.jobs),
            tuple(self.cron_jobs),
            tuple(self.services),
            self.config_maps,
            self.secrets,
            (*passed, *schema.notices(self.documents)),
            tuple(self.documents),
        )

    # -------------------------------------------------------------- one document

    def document(
        self, file: str, root: Node, kind: str | None = None, api_version: str | None = None
    ) -> None:
        """An object or a list of objects. `kind` and `api_version` are those that a list gives its items."""
        if not isinstance(root, MappingNode):
            self._complain(file, root, "", "", "expected an object with apiVersion and kind")
            return
        kind = _text_of(root, "kind") or kind or ""
        api_version = _text_of(root, "apiVersion") or api_version or ""
        label = _label(kind, root)
        if kind.endswith("List") and _child_of(root, "items") is not None:
            self._list(file, root, kind, api_version)
        elif kind in schema.KINDS and schema.KINDS[kind] == api_version:
            self._object(file, root, kind, label)
        elif not kind:
            self._complain(file, root, label, "kind", required(_other_format(root)))
        elif (fault := _kind_fault(kind, api_version)) is not None:
            where = _child_of(root, fault[0]) or root
            self._complain(file, where, label, *fault)
        else:
            foreign = f"{kind} of {api_version}" if kind in schema.KINDS else kind
            self.passed_over.setdefault(foreign, []).append(_label(kind, root, namespace=""))

    def _list(self, file: str, root: MappingNode, kind: str, api_version: str) -> None:
        """`kind: List`, whose items say what they are, or a PodList and the like, whose items need not."""
        for key, _ in root.pairs:
            name = key_text(key)
            if name not in ("apiVersion", "kind", "metadata", "items"):
                self._complain(file, key, kind, name or "", "unknown field")
        items = _child_of(root, "items")
        if isinstance(items, SequenceNode):
            given = (None, None) if kind == "List" else (kind.removesuffix("List"), api_version)
            for item in items.items:
                self.document(file, item, *given)
        elif not (isinstance(items, ScalarNode) and resolve(items) is None):
            assert items is not None
            self._complain(file, items, kind, "items", "expected a list")

    def _object(self, file: str, root: Node, kind: str, label: str) -> None:
        data, faults = decode(root, kind)
        origin = Origin(file, label, "", Positions(root))
        data.setdefault("metadata", {})
        document = Document(kind, _copied(data), origin)
        self.documents.append(document)
        bad = [path for fault in faults for path in (fault.path, fault.meant) if path]
        for one in schema.occurring(kind, data):
            if one.verdict.ruling == "refused":
                faults.append(Fault(one.path, f"Forbidden: {one.verdict.reason}"))
                bad.append(one.path)
        metadata = data["metadata"]
        for name in _SET_BY_THE_SYSTEM & metadata.keys():
            del metadata[name]
        if not metadata.get("namespace"):
            metadata["namespace"] = "default"
        data.pop("status", None)
        is_consequence = _consequences(bad)
        faults += [
            Fault(path, message)
            for path, message in self._make(kind, data, origin)
            if not is_consequence(path, message)
        ]
        if len(faults) > MAX_FAULTS:
            faults[MAX_FAULTS:] = [Fault("", f"{len(faults) - MAX_FAULTS} more faults")]
        self.runnable = self.runnable or kind not in ("ConfigMap", "Secret", "Service")
        for fault in faults:
            if fault.line:
                self.errors.append(
                    FieldError(file, fault.line, fault.column, label, fault.path, fault.message)
                )
            else:
                self.errors.append(origin.error(fault.path, fault.message))

    def _make(self, kind: str, data: dict[str, Any], origin: Origin) -> Iterable[Complaint]:
        """Adds what the object stands for to the manifest, and answers with what is wrong with it."""
        if kind == "Pod":
            default_pod(data)
            pod = from_wire(data, Pod)
            if not pod.metadata.name and pod.metadata.generate_name:
                pod = evolve(pod, metadata=self._named(pod.metadata))
            self.pods.append(Loaded(pod, origin))
            return [*validate_pod(pod), *self._taken(kind, pod.metadata, origin)]
        if kind == "Job":
            from minikubelet.api.job import Job
            from minikubelet.api.validation_jobs import validate_job

            default_job(data)
            job = from_wire(data, Job)
            if not job.metadata.name and job.metadata.generate_name:
                job = evolve(job, metadata=self._named(job.metadata))
            self.jobs.append(Loaded(job, evolve(origin, prefix="spec.template.")))
            return [*validate_job(job), *self._taken(kind, job.metadata, origin)]
        meta = from_wire(data["metadata"], ObjectMeta)
        if not meta.name and meta.generate_name:
            meta = self._named(meta)
        if kind == "ConfigMap":
            config_map = evolve(from_wire(data, ConfigMap), metadata=meta)
            self.config_maps[f"{meta.namespace}/{meta.name}"] = config_map
            return [*validate_config_map(config_map), *self._taken(kind, meta, origin)]
        if kind == "Secret":
            secret = evolve(from_wire(data, Secret), metadata=meta)
            plain = {key: text.encode() for key, text in data.get("stringData", {}).items()}
            secret = evolve(secret, data={**secret.data, **plain}, type=secret.type or "Opaque")
            self.secrets[f"{meta.namespace}/{meta.name}"] = secret
            return [*validate_secret(secret), *self._taken(kind, meta, origin)]
        if kind == "Service":
            return [*self._make_service(meta, data, origin), *self._taken(kind, meta, origin)]
        spec = data.setdefault("spec", {})
        if kind == "CronJob":
            return [*self._make_cron_job(meta, spec, origin), *self._taken(kind, meta, origin)]
        return [*self._make_pods(kind, meta, spec, origin), *self._taken(kind, meta, origin)]

    def _make_service(self, meta: ObjectMeta, data: dict[str, Any], origin: Origin) -> Iterable[Complaint]:
        from minikubelet.api.service import Service
        from minikubelet.api.validation_services import validate_service

        default_service(data)
        service = evolve(from_wire(data, Service), metadata=meta)
        self.services.append(Loaded(service, origin))
        return validate_service(service)

    def _make_cron_job(self, meta: ObjectMeta, spec: dict[str, Any], origin: Origin) -> Iterable[Complaint]:
        from minikubelet.api.cron_job import CronJob, CronJobSpec
        from minikubelet.api.validation_cron_jobs import validate_cron_job

        default_cron_job(spec)
        cron_job = CronJob(meta, from_wire(spec, CronJobSpec))
        complaints = validate_cron_job(cron_job)
        here = evolve(origin, prefix="spec.jobTemplate.spec.template.")
        if not self.run_now:
            self.cron_jobs.append(Loaded(cron_job, here))
        elif not complaints:
            self.jobs.append(Loaded(self._job_now(cron_job), here))
        return complaints

    def _job_now(self, cron_job: CronJob) -> Job:
        from time import time

        from minikubelet.api.cron_job import job_at

        owner = evolve(cron_job.metadata, uid=self.names.uid())
        now = time() if self.now is None else self.now
        return job_at(evolve(cron_job, metadata=owner), now // 60 * 60)

    def _make_pods(
        self, kind: str, meta: ObjectMeta, spec: dict[str, Any], origin: Origin
    ) -> Iterable[Complaint]:
        from minikubelet.api.validation_jobs import MAX_PODS, validate_controller

        template = None
        if "template" in spec:
            default_pod_template(spec["template"])
            template = from_wire(spec["template"], PodTemplateSpec)
            if kind == "StatefulSet":
                template = with_claim_volumes(template, spec.get("volumeClaimTemplates", ()))
        complaints = validate_controller(kind, meta, spec, template)
        pods = 0 if kind == "DaemonSet" else spec.get("replicas", 1)
        if len(self.pods) + pods > MAX_PODS:
            complaints.append(("spec.replicas", invalid(pods, f"more than {MAX_PODS} pods in one run")))
        if template is not None and not complaints:
            here = evolve(origin, prefix="spec.template.")
            for pod in pods_of(kind, meta, spec, template, self.names):
                self.pods.append(Loaded(pod, here))
                complaints += self._taken("Pod", pod.metadata, here)
        return complaints

    def _named(self, meta: ObjectMeta) -> ObjectMeta:
        return evolve(meta, name=self.names.generate(meta.generate_name or ""))

    def _taken(self, kind: str, meta: ObjectMeta, origin: Origin) -> Iterable[Complaint]:
        """A name can be given once."""
        key = (kind, f"{meta.namespace}/{meta.name}")
        first = self.places.setdefault(key, origin)
        if first is not origin and meta.name:
            line = first.positions.get("metadata.name", (0, 0))[0]
            yield "metadata.name", f"{duplicate(meta.name)} (also in {first.file}:{line})"

    def _complain(self, file: str, node: Node, label: str, path: str, message: str) -> None:
        self.errors.append(FieldError(file, node.line, node.column, label, path, message))


def _consequences(bad: Sequence[str]) -> Callable[[str, str], bool]:
    """Whether a complaint only says that what has another fault already, at `bad`, could not be read."""
    faulty = set(bad)
    around = {above for path in faulty for above in _at_and_above(path)}

    def is_consequence(path: str, message: str) -> bool:
        if not faulty:
            return False
        asks_for_more = message.startswith(("Required value", 'Invalid value: "": must specify one of'))
        return (asks_for_more and path in around) or not faulty.isdisjoint(_at_and_above(path))

    return is_consequence


_STEP_ENDS = pattern(r"(?=[.\[])|$")


def _at_and_above(path: str) -> Iterator[str]:
    """A field path and those of what the field lies in; a path without end is not followed to its end."""
    return (path[: end.start()] for end in islice(_STEP_ENDS.finditer(path), MAX_DEPTH))


_SET_BY_THE_SYSTEM = {
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
    "selfLink",
    "managedFields",
}


def _copied(data: Any) -> Any:
    """Decoded data is a tree, so this is all that a copy takes."""
    if isinstance(data, dict):
        return {name: _copied(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_copied(value) for value in data]
    return data


def _kind_fault(kind: str, api_version: str) -> Complaint | None:
    """Why an object cannot be read although it looks like one of ours; None for kinds of other people."""
    known = next((one for one in schema.KINDS if one.lower() == kind.lower()), None)
    if not api_version:
        return "apiVersion", required(f"for a {known} it is {schema.KINDS[known]}" if known else "")
    if known is None:
        return _strange_kind_fault(kind, api_version)
    if known != kind:
        return "kind", f"Unsupported value: {quoted(kind)}; did you mean {quoted(known)}?"
    if api_version.rpartition("/")[0] in _OUR_GROUPS:
        return "apiVersion", unsupported(api_version, (schema.KINDS[kind],))
    return None


_FURTHER_KINDS = {
    "v1": "Binding ComponentStatus Endpoints Event LimitRange List Namespace Node PersistentVolume "
    "PersistentVolumeClaim PodTemplate ResourceQuota ServiceAccount",
    "apps/v1": "ControllerRevision",
    "batch/v1": "",
}
"What else there is in the groups that we read from."


def _strange_kind_fault(kind: str, api_version: str) -> Complaint | None:
    further = _FURTHER_KINDS.get(api_version)
    if kind.endswith("List") or (further is not None and kind in further.split()):
        return None
    if further is None and api_version.rpartition("/")[0] not in _OUR_GROUPS:
        return None
    import difflib

    near = difflib.get_close_matches(kind, schema.KINDS, 1, 0.8)
    if further is None and not near:
        return None
    why = f": there is no such kind in {api_version}" if further is not None else ""
    hint = f"; did you mean {quoted(near[0])}?" if near else ""
    return "kind", f"Unsupported value: {quoted(kind)}{why}{hint}"


_IMAGES_FILE_FIELDS = {"entrypoint", "cmd", "env", "workingDir", "user", "pathPrefix"}


def _other_format(root: MappingNode) -> str:
    """What a file without a kind seems to be."""
    if _child_of(root, "services") is not None:
        return "this looks like a Compose file, not like a Kubernetes manifest"
    values = [value for _, value in root.pairs]
    if values and all(
        isinstance(value, MappingNode) and {key_text(key) for key, _ in value.pairs} <= _IMAGES_FILE_FIELDS
        for value in values
    ):
        return "this looks like an images file; name it with --images"
    return ""


def _child_of(node: Node, name: str) -> Node | None:
    if isinstance(node, MappingNode):
        for key, value in node.pairs:
            if key_text(key) == name:
                return value
    return None


def _text_of(node: Node, name: str) -> str | None:
    child = _child_of(node, name)
    value = resolve(child) if isinstance(child, ScalarNode) else None
    return value if isinstance(value, str) else None


def _label(kind: str, root: Node, namespace: str = "default") -> str:
    """`Pod default/web`, as far as it is known; `namespace` is for an object that names none."""
    metadata = _child_of(root, "metadata")
    name, generate_name = (
        _child_of(metadata, field) if metadata else None for field in ("name", "generateName")
    )
    text = ""
    if isinstance(name, ScalarNode) and name.text:
        text = name.text
    elif isinstance(generate_name, ScalarNode) and generate_name.text:
        text = f"{generate_name.text}*"
    if metadata is None or not text:
        return kind
    namespace = _text_of(metadata, "namespace") or namespace
    return f"{kind} {namespace}/{text}".strip() if namespace else f"{kind} {text}".strip()


def _advised(file: str, text: str, errors: list[FieldError]) -> list[FieldError]:
    """Says it once where a file is a template that nobody has rendered."""
    if not errors or "{{" not in text:
        return errors
    start = text.find("{{")
    end = text.find("}}", start + 2) + 2
    broken = [
        e for e in errors if e.message.startswith("not valid YAML") or "a template in {{ }}" in e.message
    ]
    quoted_ones = [e for e in errors if "{{" in e.message and e not in broken]
    if end < 2 or not (broken or quoted_ones):
        return errors
    line = text.count("\n", 0, start) + 1
    column = start - text.rfind("\n", 0, start)
    advice = FieldError(file, line, column, "", "", f"{quoted(text[start:end])}: {_RENDER_FIRST}")
    return [advice, *(e for e in errors if e not in broken and e not in quoted_ones)]
