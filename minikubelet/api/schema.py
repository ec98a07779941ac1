"""What minikubelet makes of every field of the API: the verdicts, in one table.

`schema_table` says which fields there are. This says what becomes of each: *honoured* (done as
Kubernetes does it), *emulated* (done differently, to the same end), *ignored* (accepted and published,
without effect) or *refused* (an error, since running without it would mislead). A `!` after the verdict
means that the user is told when such a field occurs; refusals are always told. What lies below an ignored
or a refused field shares its verdict.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal

from minikubelet.api.errors import Notice
from minikubelet.api.schema_table import KINDS, TYPES
from minikubelet.api.values import field, frozen

__all__ = ["KINDS", "Field", "Occurrence", "Type", "Verdict", "fields", "notices", "occurring", "verdict"]

Ruling = Literal["honoured", "emulated", "ignored", "refused"]

_SCHEDULER = "there is no scheduler, every pod runs on this host"
_SECURITY = "not enforced, the host's own rules apply"
_IDS = "by root; without root, as far as a user namespace can show it"
_LIMITS = "not enforced; the downward API and the QoS class know it"
_SYSTEM = "set by the system"
_ROLL_OUT = "there is no roll-out"
_ALPHA = "alpha, newer than what minikubelet implements"
_STORAGE = "there is no storage to attach; use emptyDir or hostPath"
_CLAIMED = "a directory for each claim, empty at first; what it holds goes when the run ends"
_NAMES = "names resolve as they do on this host"
_PROXY = "there is no proxy"
_SANDBOX = "in a pod sandbox (--isolation pod); else processes are the host's own"
_FILE_OWNER = "files belong to the user who runs minikubelet"

_VERDICTS = f"""
Pod Job Deployment ReplicaSet StatefulSet DaemonSet ReplicationController CronJob
  honoured   apiVersion kind metadata spec
  ignored    status: {_SYSTEM}

ConfigMap
  honoured   apiVersion kind metadata data binaryData immutable

Secret
  honoured   apiVersion kind metadata data stringData type immutable

ObjectMeta
  honoured   name generateName namespace labels annotations
  ignored    ownerReferences: there is nobody to collect garbage
  ignored!   finalizers: there is nobody to wait for
  ignored    uid creationTimestamp deletionTimestamp deletionGracePeriodSeconds: {_SYSTEM}
  ignored    generation resourceVersion selfLink managedFields: {_SYSTEM}

PodTemplateSpec JobTemplateSpec
  honoured   metadata spec

PodSpec
  honoured   containers initContainers volumes restartPolicy terminationGracePeriodSeconds
  honoured   activeDeadlineSeconds readinessGates os
  emulated   hostname subdomain: known as HOSTNAME and to the downward API; only a pod sandbox has that name
  emulated   serviceAccountName serviceAccount: a name for the downward API, there is no API server
  honoured   shareProcessNamespace hostNetwork hostPID hostIPC: {_SANDBOX}
  emulated   securityContext: see its fields
  emulated   hostUsers: {_SANDBOX}; false ends capabilities at the pod, ids stay the host's
  honoured   enableServiceLinks
  emulated   hostAliases: in /etc/hosts of the pod, where this machine allows mount namespaces
  ignored!   dnsConfig setHostnameAsFQDN hostnameOverride: {_NAMES}
  emulated   dnsPolicy: says whether the names of Services are in /etc/hosts of the pod; {_NAMES}
  ignored    automountServiceAccountToken: there is no API server to talk to
  ignored    imagePullSecrets: nothing is pulled
  ignored    nodeName: the only node is this host
  ignored!   nodeSelector affinity tolerations topologySpreadConstraints schedulerName: {_SCHEDULER}
  ignored!   priority priorityClassName preemptionPolicy: {_SCHEDULER}
  ignored!   schedulingGates schedulingGroup evictionResponders: {_SCHEDULER}
  ignored!   runtimeClassName overhead: there is no container runtime
  ignored!   resources: {_LIMITS}
  ignored!   resourceClaims: no devices are handed out
  refused    ephemeralContainers: they are added to running pods, never part of a manifest

PodSecurityContext
  honoured   runAsUser runAsGroup runAsNonRoot: {_IDS}
  honoured   supplementalGroups supplementalGroupsPolicy fsGroup: {_IDS}
  ignored    fsGroupChangePolicy: volumes are made for each pod, so there is nothing to compare
  honoured   sysctls: {_SANDBOX}
  ignored!   seLinuxOptions seLinuxChangePolicy windowsOptions seccompProfile appArmorProfile: {_SECURITY}

SecurityContext
  honoured   runAsUser runAsGroup runAsNonRoot: {_IDS}
  honoured   allowPrivilegeEscalation: false is no_new_privs
  emulated   privileged: false is no_new_privs; true gives nothing that minikubelet does not have itself
  honoured   readOnlyRootFilesystem: in a mount namespace
  honoured   capabilities
  ignored!   procMount: {_SECURITY}
  ignored!   seLinuxOptions windowsOptions seccompProfile appArmorProfile: {_SECURITY}

HostAlias
  honoured   ip hostnames

Capabilities
  honoured   drop: taken from root's processes; those of others have none
  emulated   add: takes back what drop says; nothing is given that minikubelet does not have itself

Sysctl
  honoured   name value

PodReadinessGate
  honoured   conditionType

PodOS
  honoured   name

Container
  honoured   name command args workingDir env envFrom volumeMounts
  honoured   restartPolicy restartPolicyRules livenessProbe readinessProbe startupProbe lifecycle
  honoured   terminationMessagePath terminationMessagePolicy ports resources
  emulated   image: a program of this host stands for it
  ignored    imagePullPolicy: nothing is pulled
  emulated   securityContext: see its fields
  ignored!   stdin stdinOnce tty: standard input is /dev/null, output goes through pipes
  ignored    resizePolicy: running containers are not resized
  refused    volumeDevices: {_STORAGE}

ContainerPort
  honoured   name containerPort protocol
  ignored!   hostPort hostIP: containers use the host's network, every port is a port of the host

ResourceRequirements
  emulated   requests: {_LIMITS}
  honoured   limits: memory and cpu, where a cgroup has been delegated to minikubelet; a notice tells
  ignored!   claims: no devices are handed out

EnvVar
  honoured   name value valueFrom

EnvVarSource
  honoured   fieldRef resourceFieldRef configMapKeyRef secretKeyRef fileKeyRef

ObjectFieldSelector
  honoured   apiVersion fieldPath

ResourceFieldSelector
  honoured   containerName resource divisor

ConfigMapKeySelector SecretKeySelector
  honoured   name key optional

FileKeySelector
  honoured   volumeName path key optional

EnvFromSource
  honoured   prefix configMapRef secretRef

ConfigMapEnvSource SecretEnvSource
  honoured   name optional

Probe
  honoured   exec httpGet tcpSocket grpc initialDelaySeconds timeoutSeconds periodSeconds
  honoured   successThreshold failureThreshold terminationGracePeriodSeconds

Lifecycle
  honoured   postStart preStop stopSignal

LifecycleHandler
  honoured   exec httpGet tcpSocket sleep

ExecAction
  honoured   command

HTTPGetAction
  honoured   path port host scheme httpHeaders
  refused    protocol: {_ALPHA}

HTTPHeader
  honoured   name value

TCPSocketAction
  honoured   port host

GRPCAction
  honoured   port service
  refused    mode: {_ALPHA}

SleepAction
  honoured   seconds

ContainerRestartRule
  honoured   action exitCodes

ContainerRestartRuleOnExitCodes
  honoured   operator values

VolumeMount
  honoured   name mountPath readOnly recursiveReadOnly subPath subPathExpr
  emulated   mountPropagation: HostToContainer as in a cluster; Bidirectional is refused
  ignored!   bindMountOptions: alpha, newer than what minikubelet implements

Volume
  honoured   name emptyDir hostPath configMap secret downwardAPI projected
  emulated!  persistentVolumeClaim: {_CLAIMED}
  emulated!  ephemeral: an empty directory of the pod, of whatever size
  refused    csi flexVolume nfs iscsi fc: {_STORAGE}
  refused    awsElasticBlockStore azureDisk azureFile cephfs cinder flocker gcePersistentDisk: {_STORAGE}
  refused    glusterfs photonPersistentDisk portworxVolume quobyte rbd scaleIO storageos: {_STORAGE}
  refused    vsphereVolume: {_STORAGE}
  refused    gitRepo: removed from Kubernetes; clone in an init container
  refused    image: there are no images; use hostPath

PersistentVolumeClaimVolumeSource
  honoured   claimName readOnly

EphemeralVolumeSource
  ignored    volumeClaimTemplate: nothing is claimed

EmptyDirVolumeSource
  ignored!   medium sizeLimit mode: an emptyDir is a plain directory

HostPathVolumeSource
  honoured   path type

ConfigMapVolumeSource
  honoured   name items defaultMode optional
  ignored!   defaultUser: {_FILE_OWNER}

SecretVolumeSource
  honoured   secretName items defaultMode optional
  ignored!   defaultUser: {_FILE_OWNER}

KeyToPath
  honoured   key path mode
  ignored!   user: {_FILE_OWNER}

DownwardAPIVolumeSource
  honoured   items defaultMode
  ignored!   defaultUser: {_FILE_OWNER}

DownwardAPIVolumeFile
  honoured   path fieldRef resourceFieldRef mode
  ignored!   user: {_FILE_OWNER}

ProjectedVolumeSource
  honoured   sources defaultMode
  ignored!   defaultUser: {_FILE_OWNER}

VolumeProjection
  honoured   configMap secret downwardAPI
  emulated   serviceAccountToken: a token nobody has signed, there is no API server
  refused    clusterTrustBundle podCertificate: there is no API server to ask

ConfigMapProjection SecretProjection
  honoured   name items optional

DownwardAPIProjection
  honoured   items

ServiceAccountTokenProjection
  honoured   path audience expirationSeconds
  ignored!   user: {_FILE_OWNER}

JobSpec
  honoured   template parallelism completions completionMode backoffLimit backoffLimitPerIndex
  honoured   maxFailedIndexes activeDeadlineSeconds ttlSecondsAfterFinished suspend
  honoured   podFailurePolicy successPolicy podReplacementPolicy
  ignored!   selector manualSelector: a Job owns the pods it makes
  ignored!   managedBy: nobody else could run it
  ignored!   scheduling: {_SCHEDULER}

PodFailurePolicy SuccessPolicy
  honoured   rules

PodFailurePolicyRule
  honoured   action onExitCodes onPodConditions

PodFailurePolicyOnExitCodesRequirement
  honoured   containerName operator values

PodFailurePolicyOnPodConditionsPattern
  honoured   type status

SuccessPolicyRule
  honoured   succeededIndexes succeededCount

CronJobSpec
  honoured   jobTemplate schedule timeZone concurrencyPolicy startingDeadlineSeconds suspend
  honoured   successfulJobsHistoryLimit failedJobsHistoryLimit

DeploymentSpec
  honoured   replicas selector template
  ignored    strategy minReadySeconds paused progressDeadlineSeconds revisionHistoryLimit: {_ROLL_OUT}

ReplicaSetSpec ReplicationControllerSpec
  honoured   replicas selector template
  ignored    minReadySeconds: {_ROLL_OUT}

StatefulSetSpec
  honoured   replicas selector template ordinals
  emulated   serviceName: the subdomain of its pods
  emulated!  volumeClaimTemplates: {_CLAIMED}
  ignored!   podManagementPolicy: all pods start at once
  ignored    updateStrategy minReadySeconds revisionHistoryLimit: {_ROLL_OUT}
  ignored    persistentVolumeClaimRetentionPolicy: no claims are made

PersistentVolumeClaim
  honoured   metadata
  ignored    apiVersion kind spec status: {_CLAIMED}

StatefulSetOrdinals
  honoured   start

DaemonSetSpec
  honoured   selector template
  ignored    updateStrategy minReadySeconds revisionHistoryLimit: {_ROLL_OUT}

Service
  honoured   apiVersion kind metadata spec
  ignored    status: {_SYSTEM}

ServiceSpec
  honoured   selector
  emulated   ports: {_PROXY}, so clients are told the ports that the pods listen on
  emulated   type clusterIP clusterIPs: the address is 127.0.0.1, unless it is headless
  ignored!   externalName: {_NAMES}
  ignored!   externalIPs loadBalancerIP loadBalancerSourceRanges sessionAffinity: {_PROXY}
  ignored    sessionAffinityConfig publishNotReadyAddresses loadBalancerClass ipFamilyPolicy: {_PROXY}
  ignored    allocateLoadBalancerNodePorts externalTrafficPolicy internalTrafficPolicy: {_PROXY}
  ignored    healthCheckNodePort ipFamilies trafficDistribution: {_PROXY}

ServicePort
  honoured   name port protocol targetPort
  ignored!   nodePort: {_PROXY}
  ignored    appProtocol: {_PROXY}

LabelSelector
  honoured   matchLabels matchExpressions

LabelSelectorRequirement
  honoured   key operator values
"""

# ------------------------------------------------------------------ types


@frozen
class Type:
    kind: str
    "`s`, `i`, ... as in `schema_table`; `list`, `map`, or `object`."
    name: str = ""
    "Of an object."
    of: "Type | None" = None
    "Of the items of a list, of the values of a map."


@frozen
class Field:
    name: str
    type: Type
    required: bool


@cache
def fields(type_name: str) -> Mapping[str, Field]:
    """The fields of an API type by name. Raises KeyError for a type that the table does not have."""
    found = {}
    for word in TYPES[type_name].split():
        name, _, type_text = word.partition(":")
        found[name.rstrip("!")] = Field(name.rstrip("!"), _parse_type(type_text), name.endswith("!"))
    return found


@cache
def _parse_type(text: str) -> Type:
    if text[0] == "[":
        return Type("list", of=_parse_type(text[1 : text.rindex("]")]))
    if text[0] == "{":
        return Type("map", of=_parse_type(text[1:-1]))
    return Type(text) if len(text) == 1 else Type("object", text)


# ------------------------------------------------------------------ verdicts


@frozen
class Verdict:
    ruling: Ruling
    reason: str = ""
    told: bool = False
    "Whether the user gets a notice when such a field occurs."

    def __str__(self) -> str:
        return f"{self.ruling}: {self.reason}" if self.reason else self.ruling


@cache
def _verdicts() -> Mapping[str, Mapping[str, Verdict]]:
    table: dict[str, dict[str, Verdict]] = {}
    names: list[str] = []
    for line in _VERDICTS.splitlines():
        if not line.startswith(" "):
            names = line.split()
            continue
        left, _, reason = line.partition(":")
        word, *field_names = left.split()
        ruling: Any = word.rstrip("!")
        one = Verdict(ruling, reason.strip(), word.endswith("!"))
        for type_name in names:
            table.setdefault(type_name, {}).update(dict.fromkeys(field_names, one))
    return table


def verdict(type_name: str, field_name: str) -> Verdict:
    """What becomes of a field. Raises KeyError where the table has no word about it."""
    return _verdicts()[type_name][field_name]


def has_own_verdicts_below(type_name: str, field: Field) -> bool:
    """Whether the fields below one have verdicts of their own."""
    below = field.type.of or field.type
    return below.kind == "object" and verdict(type_name, field.name).ruling in ("honoured", "emulated")


@frozen
class Occurrence:
    path: str
    verdict: Verdict
    name: str
    "For a notice: `affinity`, `securityContext.runAsUser`. The same wherever it occurs."
    value: Any = field(repr=False)


_UNNAMED = frozenset(("spec", "metadata", "template", "jobTemplate", "containers", "initContainers"))


def occurring(
    type_name: str, data: Mapping[str, Any], path: str = "", within: str = ""
) -> Iterator[Occurrence]:
    """Every field that decoded data has, outside in, with its verdict."""
    known = fields(type_name)
    rulings = _verdicts()[type_name]
    for name, value in data.items():
        here = f"{path}.{name}" if path else name
        yield Occurrence(here, rulings[name], within + name, value)
        if not has_own_verdicts_below(type_name, known[name]):
            continue
        kind = known[name].type
        inner = "" if name in _UNNAMED else f"{name}."
        if kind.of is None:
            yield from occurring(kind.name, value, here, inner)
        elif kind.kind == "list":
            for index, item in enumerate(value):
                yield from occurring(kind.of.name, item, f"{here}[{index}]", inner)


_HOW_IT_IS = {
    "sessionAffinity": ("None",),
    "podManagementPolicy": ("Parallel",),
    "preemptionPolicy": ("PreemptLowerPriority",),
    "schedulerName": ("default-scheduler",),
    "managedBy": ("kubernetes.io/job-controller",),
}


def _is_how_it_is(one: Occurrence) -> bool:
    """Whether ignoring the field makes no difference: it is empty, off, or asks for what it gets."""
    return one.value is False or one.value in ("", [], {}) or one.value in _HOW_IT_IS.get(one.name, ())


def notices(documents: Iterable[Any]) -> Sequence[Notice]:
    """What was accepted without effect, in as few words as that takes: one notice for each reason.

    `documents` are the `Document`s of a manifest.
    """
    told: dict[str, tuple[dict[str, None], dict[str, None], str]] = {}
    for document in documents:
        for one in occurring(document.type_name, document.data):
            if one.verdict.told and not _is_how_it_is(one):
                names, objects, _ = told.setdefault(one.verdict.reason, ({}, {}, one.verdict.ruling))
                names[one.name] = None
                objects[document.origin.object] = None
    return [
        Notice(f"{', '.join(names)} {ruling}: {reason}", tuple(objects))
        for reason, (names, objects, ruling) in told.items()
    ]
