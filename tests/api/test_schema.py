"""Every field of the API has a verdict, and what is accepted is kept (VALID-25)."""

import io
import typing

import attrs
import pytest

from minikubelet.api import schema, schema_table
from minikubelet.api.codec import wire_name
from minikubelet.api.config import ConfigMap, Secret
from minikubelet.api.cron_job import CronJob
from minikubelet.api.job import Job
from minikubelet.api.manifest import load
from minikubelet.api.pod import Pod
from minikubelet.api.service import Service


def fields_with_verdicts(type_name, path, above=()):
    """Every field that must have a verdict of its own: (type, field, path)."""
    if type_name in above:
        return
    for field in schema.fields(type_name).values():
        yield type_name, field, f"{path}.{field.name}"
        ruling = schema._verdicts().get(type_name, {}).get(field.name)
        below = field.type.of or field.type
        if below.kind == "object" and (ruling is None or ruling.ruling in ("honoured", "emulated")):
            yield from fields_with_verdicts(below.name, f"{path}.{field.name}", (*above, type_name))


@pytest.mark.parametrize("kind", schema.KINDS)
def test_every_field_has_a_verdict(kind):
    missing = [
        path
        for type_name, field, path in fields_with_verdicts(kind, kind)
        if field.name not in schema._verdicts().get(type_name, {})
    ]

    assert missing == []


def test_no_verdict_is_about_a_field_that_is_not_there():
    strangers = [
        f"{type_name}.{name}"
        for type_name, rulings in schema._verdicts().items()
        for name in rulings
        if name not in schema.fields(type_name)
    ]

    assert strangers == []


def test_whatever_is_not_simply_honoured_has_a_reason():
    silent = [
        f"{type_name}.{name}"
        for type_name, rulings in schema._verdicts().items()
        for name, verdict in rulings.items()
        if verdict.ruling != "honoured" and not verdict.reason
    ]

    assert silent == []


def inner_class(kind):
    """The attrs class inside `X | None`, `tuple[X, ...]` and the like; None for plain data."""
    if attrs.has(kind):
        return kind
    return next((found for part in typing.get_args(kind) if (found := inner_class(part))), None)


def lost_fields(type_name, cls, path, above=()):
    attributes = {wire_name(attribute.name): attribute for attribute in attrs.fields(cls)}
    for field in schema.fields(type_name).values():
        ruling = schema.verdict(type_name, field.name).ruling
        if ruling == "refused" or (type_name, field.name) == ("Secret", "stringData"):
            continue
        if field.name not in attributes:
            yield f"{path}.{field.name}"
            continue
        below, inner = field.type.of or field.type, inner_class(attributes[field.name].type)
        if below.kind == "object" and inner and field.name != "status" and below.name not in above:
            yield from (
                lost_fields(below.name, inner, f"{path}.{field.name}", (*above, below.name))
                if (below.name in schema._verdicts())
                else ()
            )


@pytest.mark.parametrize("cls", [Pod, Job, CronJob, ConfigMap, Secret, Service])
def test_every_accepted_field_has_its_place_in_the_classes(cls):
    """A Pod is published with everything it said."""
    assert list(lost_fields(cls.__name__, cls, cls.__name__)) == []


@pytest.mark.parametrize("cls", [Pod, Job, CronJob, ConfigMap, Secret, Service])
def test_every_attribute_is_spelled_as_the_api_spells_it(cls):
    def strangers(type_name, one, path):
        known = schema.fields(type_name)
        for attribute in attrs.fields(one):
            name = wire_name(attribute.name)
            if name not in known:
                yield f"{path}.{name}"
                continue
            below, inner = known[name].type.of or known[name].type, inner_class(attribute.type)
            if inner is not None and below.kind == "object":
                yield from strangers(below.name, inner, f"{path}.{name}")

    assert list(strangers(cls.__name__, cls, cls.__name__)) == []


def test_the_table_is_compact():
    """Field names and types are facts; descriptions are not taken."""
    assert all(
        " " not in word and ":" in word for text in schema_table.TYPES.values() for word in text.split()
    )


POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  nodeSelector: {disk: ssd}
  tolerations: [{operator: Exists}]
  containers:
  - name: c
    image: x
    imagePullPolicy: Always
    tty: true
    securityContext: {procMount: Unmasked, seccompProfile: {type: RuntimeDefault}}
"""


def test_notices_name_each_reason_once_with_the_objects():
    """LOCAL-7: accepted, ignored, listed."""
    manifest = load(["-"], stdin=io.StringIO("---".join(POD % name for name in ("a", "b"))))

    notices = {notice.message: notice.objects for notice in manifest.notices}

    both = ("Pod default/a", "Pod default/b")
    assert notices == {
        "nodeSelector, tolerations ignored: there is no scheduler, every pod runs on this host": both,
        "tty ignored: standard input is /dev/null, output goes through pipes": both,
        "securityContext.procMount, securityContext.seccompProfile ignored: "
        "not enforced, the host's own rules apply": both,
    }


def test_a_long_list_of_objects_is_cut_short():
    manifest = load(["-"], stdin=io.StringIO("---".join(POD % f"p{i}" for i in range(5))))

    assert str(manifest.notices[0]).startswith("Pod default/p0, Pod default/p1, Pod default/p2 and 2 more: ")


def test_what_asks_for_how_it_is_needs_no_notice():
    """`kubectl get -o yaml` spells every default out."""
    text = (
        POD.split("spec:")[0] % "p"
        + """
spec:
  dnsPolicy: ClusterFirst
  schedulerName: default-scheduler
  tolerations: []
  securityContext: {}
  containers:
  - name: c
    tty: false
    securityContext: {privileged: false}
    volumeMounts: []
"""
    )

    assert load(["-"], stdin=io.StringIO(text)).notices == ()


def test_a_job_that_names_the_usual_controller_needs_no_notice():
    text = """\
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  managedBy: kubernetes.io/job-controller
  template: {spec: {restartPolicy: Never, containers: [{name: c}]}}
"""

    assert load(["-"], stdin=io.StringIO(text)).notices == ()
    (notice,) = load(["-"], stdin=io.StringIO(text.replace("kubernetes.io/job-", "acme.io/"))).notices
    assert str(notice) == "Job default/j: managedBy ignored: nobody else could run it"


def test_volumes_that_need_storage_are_directories_and_say_so():
    text = (
        POD.split("spec:")[0] % "p"
        + """
spec:
  containers: [{name: c}]
  volumes:
  - {name: a, persistentVolumeClaim: {claimName: data}}
  - {name: b, ephemeral: {volumeClaimTemplate: {spec: {}}}}
"""
    )

    assert [notice.message for notice in load(["-"], stdin=io.StringIO(text)).notices] == [
        "volumes.persistentVolumeClaim emulated: a directory for each claim, empty at first; "
        "what it holds goes when the run ends",
        "volumes.ephemeral emulated: an empty directory of the pod, of whatever size",
    ]
