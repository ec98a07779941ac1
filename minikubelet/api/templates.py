"""What a controller would make of its template: pods with its names, labels and owners.

There is no roll-out and nothing is replaced later on: a Deployment stands for its pods as they are once it
has settled. Hashes have the form of Kubernetes' own, not their value, which depends on how Go prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minikubelet.api.meta import ObjectMeta, OwnerReference
from minikubelet.api.pod import (
    PersistentVolumeClaimVolumeSource,
    Pod,
    PodSpec,
    PodTemplateSpec,
    Volume,
)
from minikubelet.api.schema import KINDS
from minikubelet.api.values import evolve

if TYPE_CHECKING:
    import random

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # k8s.io/apimachinery/pkg/util/rand
_SUFFIX_LENGTH = 5
_MAX_PREFIX_LENGTH = 63 - _SUFFIX_LENGTH  # k8s.io/apiserver/pkg/storage/names


class Names:
    """Draws names and uids, the same ones for the same seed, and no name twice."""

    def __init__(self, source: random.Random | None) -> None:
        self._source = source
        self._drawn: set[str] = set()

    def generate(self, prefix: str) -> str:
        """A name for `generateName: PREFIX`."""
        while True:
            suffix = "".join(self._random.choice(_ALPHABET) for _ in range(_SUFFIX_LENGTH))
            name = prefix[:_MAX_PREFIX_LENGTH] + suffix
            if name not in self._drawn:
                self._drawn.add(name)
                return name

    def uid(self) -> str:
        """A random UUID, version 4."""
        bits = self._random.getrandbits(128) & ~(0xF << 76) & ~(0x3 << 62) | (0x4 << 76) | (0x2 << 62)
        digits = f"{bits:032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    @property
    def _random(self) -> random.Random:
        if self._source is None:
            import random  # most manifests draw nothing

            self._source = random.Random()
        return self._source


def pods_of(
    kind: str, meta: ObjectMeta, spec: Mapping[str, Any], template: PodTemplateSpec, names: Names
) -> Sequence[Pod]:
    """The pods of a controller. `spec` is its own, as plain data; the template has its defaults."""
    replicas = 1 if kind == "DaemonSet" else spec.get("replicas", 1)
    owner = _owner(kind, meta, names)
    labels: dict[str, str] = {}
    prefix = f"{meta.name}-"
    match kind:
        case "Deployment":
            labels["pod-template-hash"] = template_hash(template)
            prefix += f"{labels['pod-template-hash']}-"
            owner = evolve(owner, kind="ReplicaSet", name=prefix[:-1])
        case "DaemonSet":
            labels |= {"controller-revision-hash": template_hash(template), "pod-template-generation": "1"}
        case "StatefulSet":
            return _ordinal_pods(meta, spec, template, owner, replicas)
    return [
        Pod(_pod_meta(names.generate(prefix), prefix, meta, template, labels, owner), template.spec)
        for _ in range(replicas)
    ]


def _ordinal_pods(
    meta: ObjectMeta, spec: Mapping[str, Any], template: PodTemplateSpec, owner: OwnerReference, replicas: int
) -> Sequence[Pod]:
    """A StatefulSet's pods: NAME-0 and so on, each known by its own hostname."""
    first = (spec.get("ordinals") or {}).get("start", 0)
    revision = f"{meta.name}-{template_hash(template)}"
    claims = spec.get("volumeClaimTemplates") or ()
    pods = []
    for ordinal in range(first, first + replicas):
        name = f"{meta.name}-{ordinal}"
        labels = {
            "apps.kubernetes.io/pod-index": str(ordinal),
            "controller-revision-hash": revision,
            "statefulset.kubernetes.io/pod-name": name,
        }
        pod_spec = _with_claims(template.spec, claims, name)
        pod_spec = evolve(pod_spec, hostname=name, subdomain=spec.get("serviceName") or None)
        pods.append(Pod(_pod_meta(name, f"{meta.name}-", meta, template, labels, owner), pod_spec))
    return pods


def with_claim_volumes(template: PodTemplateSpec, claims: Sequence[Mapping[str, Any]]) -> PodTemplateSpec:
    """A StatefulSet's template with the volumes that its claim templates will become."""
    return evolve(template, spec=_with_claims(template.spec, claims, "0"))


def _with_claims(spec: PodSpec, claims: Sequence[Mapping[str, Any]], pod_name: str) -> PodSpec:
    """Every pod has claims of its own, CLAIM-POD; each takes the place of a volume of the template's name."""
    claimed = [claim.get("metadata", {}).get("name", "") for claim in claims]
    kept = tuple(volume for volume in spec.volumes if volume.name not in claimed)
    made = (
        Volume(name, persistent_volume_claim=PersistentVolumeClaimVolumeSource(f"{name}-{pod_name}"))
        for name in claimed
    )
    return evolve(spec, volumes=(*kept, *made))


def _pod_meta(
    name: str,
    prefix: str,
    meta: ObjectMeta,
    template: PodTemplateSpec,
    labels: Mapping[str, str],
    owner: OwnerReference,
) -> ObjectMeta:
    return ObjectMeta(
        name=name,
        generate_name=prefix,
        namespace=meta.namespace,
        labels={**template.metadata.labels, **labels},
        annotations=template.metadata.annotations,
        owner_references=(owner,),
    )


def _owner(kind: str, meta: ObjectMeta, names: Names) -> OwnerReference:
    uid = meta.uid or names.uid()
    return OwnerReference(KINDS[kind], kind, meta.name, uid, controller=True, block_owner_deletion=True)


def template_hash(template: PodTemplateSpec) -> str:
    """A short text that is the same for equal templates, safe in names (SafeEncodeString)."""
    from zlib import crc32  # needed by few

    decimal = str(crc32(repr(template).encode()))
    return "".join(_ALPHABET[ord(digit) % len(_ALPHABET)] for digit in decimal)
