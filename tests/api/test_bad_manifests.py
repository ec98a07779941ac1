"""Whatever is wrong with a manifest is told with its field path and its place, all of it at once."""

# ruff: noqa: E501 (a table reads best with one case a line)

import io
import itertools
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.api.errors import ManifestError
from minikubelet.api.manifest import load


def faults(text):
    """(path, line, column, message) of everything that is wrong."""
    with pytest.raises(ManifestError) as caught:
        load(["-"], stdin=io.StringIO(textwrap.dedent(text)))
    return [(error.path, error.line, error.column, error.message) for error in caught.value.errors]


def pod(container="", spec="", metadata="name: p"):
    """A pod with more fields for its container and its spec."""
    lines = [
        "apiVersion: v1",
        "kind: Pod",
        f"metadata: {{{metadata}}}",
        "spec:",
        "  containers:",
        "  - name: c",
    ]
    lines += [f"    {line}" for line in textwrap.dedent(container).strip().splitlines()]
    lines += [f"  {line}" for line in textwrap.dedent(spec).strip().splitlines()]
    return "\n".join(lines) + "\n"


def job(spec="", restart_policy="Never", metadata="name: j"):
    """A job with more fields."""
    template = f"{{spec: {{restartPolicy: {restart_policy}, containers: [{{name: c}}]}}}}"
    lines = [
        "apiVersion: batch/v1",
        "kind: Job",
        f"metadata: {{{metadata}}}",
        "spec:",
        f"  template: {template}",
    ]
    lines += [f"  {line}" for line in textwrap.dedent(spec).strip().splitlines()]
    return "\n".join(lines) + "\n"


def controller(fields, kind="Deployment"):
    """A controller with more fields."""
    template = "{metadata: {labels: {a: b}}, spec: {containers: [{name: c}]}}"
    lines = [f"apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: d}}\nspec:"]
    lines += ["  selector: {matchLabels: {a: b}}", f"  template: {template}", f"  {fields}"]
    return "\n".join(lines) + "\n"


# field path, part of the message, text; § marks the place that the fault is told at
FORM = [
    ("spec.containers[0].comand", 'did you mean "command"?', pod("§comand: [x]")),
    ("spec.containers[0].Image", 'did you mean "image"?', pod("§Image: x")),
    ("spec.containers[0].workingdir", 'did you mean "workingDir"?', pod("§workingdir: /")),
    ("spec.containers[0].nodeName", "it belongs to spec", pod("§nodeName: x")),
    ("spec.containers[0].zzz", "unknown field", pod("§zzz: 1")),
    ("spec.replicas", "unknown field", pod(spec="§replicas: 1")),
    ("spec.containers[0].image", "given twice, first in line 7", pod("image: a\n§image: b")),
    ("metadata.labels[a]", "given twice", pod(metadata="name: p, labels: {a: b, §a: c}")),
    ("spec.containers[0].env[0].value", 'got the number 8080; quote it: "8080"', pod("env: [{name: A, value: §8080}]")),
    ("spec.containers[0].env[0].value", 'got the boolean yes; quote it: "yes"', pod("env: [{name: A, value: §yes}]")),
    ("metadata.labels[v]", 'got the number 1.10; quote it: "1.10"', pod(metadata="name: p, labels: {v: §1.10}")),
    ("spec.containers[0].command", 'write it as a list: ["sleep", "5"]', pod("command: §sleep 5")),
    ("spec.containers[0].args[0]", "expected a string, got an object", pod("args: [§{a: b}]")),
    ("spec.containers[0].env", "expected a list, got an object", pod("§env:\n  A: b")),
    ("spec.containers[0].tty", "expected true or false, got the string", pod('tty: §"true"')),
    ("spec.terminationGracePeriodSeconds", "expected an integer", pod(spec="terminationGracePeriodSeconds: §soon")),
    ("spec.terminationGracePeriodSeconds", "expected an integer", pod(spec="terminationGracePeriodSeconds: §1.5")),
    ("spec.priority", "does not fit into 32 bits", pod(spec="priority: §3000000000")),
    ("spec.containers[0].ports[0].containerPort", "remove the quotes", pod('ports:\n- containerPort: §"80"')),
    ("spec.containers[0].resources.limits[cpu]", "must be a quantity", pod("resources: {limits: {cpu: §lots}}")),
    ("spec.containers[0].livenessProbe.tcpSocket.port", "integer", pod("livenessProbe: {tcpSocket: {port: §1.5}}")),
    ("spec.volumes[0].nfs", "Forbidden: there is no storage", pod(spec="volumes:\n- {name: v, §nfs: {server: x}}")),
    ("spec.ephemeralContainers", "Forbidden: they are added", pod(spec="§ephemeralContainers: [{name: x}]")),
    ("spec.containers", "given twice", pod(spec="§containers: []")),
    ("spec.containers[0].enviroment", 'did you mean "env"?', pod("§enviroment: []")),
    ("spec.containers[0].cmd", 'did you mean "command"?', pod("§cmd: [x]")),
    ("spec.containers[0].ports[0].port", 'did you mean "containerPort"?', pod("ports: [{§port: 80}]")),
    ("spec.volumes[0].secret.name", 'did you mean "secretName"?', pod(spec="volumes: [{name: v, secret: {§name: s}}]")),
    ("spec.containers[0].env[0].fieldRef", "it belongs to spec.containers[0].env[0].valueFrom", pod("env: [{name: A, §fieldRef: {fieldPath: metadata.name}}]")),
    ("spec.command", "it belongs to spec.containers[0]", pod(spec="§command: [x]")),
    ("spec.template.containers", "it belongs to spec.template.spec", job().replace("{spec:", "{§containers: [], spec:")),
    ("spec.restartPolicy", "it belongs to spec.template.spec", job("§restartPolicy: Never")),
    ("spec.containers[0].resources.cpu", "it belongs to limits or requests", pod("resources: {§cpu: 1}")),
    ("spec.containers[0].env", 'write it as a list: [{name: A, value: "b"}, ...]', pod("§env:\n  A: b")),
    ("spec.containers[0].env[0]", 'write it as {name: A, value: "b"}', pod("env: [§A=b]")),
    ("spec.containers[0].ports[0]", "write it as {containerPort: 80}", pod("ports: [§80]")),
    ("spec.volumes", 'put \'- \' in front of "name"', pod(spec="§volumes: {name: v}")),
    ("spec.containers[0].readinessProbe.httpGet", "expected an object", pod("readinessProbe: {httpGet: §/healthz}")),
    ("", "(a tab; YAML is indented with spaces)", "metadata:\n§\tname: p\n"),
    ("", "(a value that begins with @ must be quoted)", pod(metadata="name: §@p")),
    ("", "(a line that is indented too far, or a value", "apiVersion: v1\n  kind§: Pod\n"),
    ("", "(a line that is not indented like those above it)", "a:\n  b: 1\n §c: 2\n"),
    ("", "(the quote that opens there is never closed)", 'a: 1\nb: "x\nc: 2\n§'),
    ("", "(a missing comma, or a bracket that is never closed)", "a: [b\nc§: d]\n"),
]  # fmt: skip

# VALID-* and what else the API server checks
SENSE = [
    ("spec.containers[0].name", "RFC 1123 label", pod().replace("name: c", "name: §Bad_Name")),
    ("metadata.name", "RFC 1123 subdomain", pod(metadata="name: §-p")),
    ("metadata.name", "no more than 253", pod(metadata=f"name: §{'x' * 254}")),
    ("metadata.labels[a b]", "alphanumeric", pod(metadata='name: p, labels: {"a b": §c}')),
    ("metadata.labels[a]", "label value", pod(metadata="name: p, labels: {a: §-b}")),
    ("metadata.namespace", "RFC 1123 label", pod(metadata="name: p, namespace: §A")),
    ("spec.restartPolicy", 'supported values: "Always", "Never", "OnFailure"', pod(spec="restartPolicy: §Maybe")),
    ("spec.hostname", "RFC 1123 label", pod(spec="hostname: §under_score")),
    ("spec.activeDeadlineSeconds", "between 1 and", pod(spec="activeDeadlineSeconds: §0")),
    ("spec.os.name", "Linux host", pod(spec="os: {name: §windows}")),
    ("spec.dnsPolicy", "Unsupported value", pod(spec="dnsPolicy: §Nope")),
    ("spec.securityContext.runAsUser", "between 0 and", pod(spec="securityContext: {runAsUser: §-1}")),
    ("spec.containers[0].imagePullPolicy", "Unsupported value", pod("imagePullPolicy: §Sometimes")),
    ("spec.containers[0].terminationMessagePolicy", "Unsupported value", pod("terminationMessagePolicy: §x")),
    ("spec.containers[0].restartPolicy", "Unsupported value", pod("restartPolicy: §x")),
    ("spec.containers[0].restartPolicy", "Required value", pod("restartPolicyRules: [{action: Restart, exitCodes: {operator: In}}]").replace("name: c", "§name: c")),
    ("spec.containers[0].restartPolicyRules[0].exitCodes", "Required value", pod("restartPolicy: Never\nrestartPolicyRules: [§{action: Restart}]")),
    ("spec.containers[0].env[0].name", "printable ASCII", pod('env: [{name: §"a=b"}]')),
    ("spec.containers[0].env[0].valueFrom", "must specify one of", pod("env: [{name: A, §valueFrom: {}}]")),
    ("spec.containers[0].env[0].valueFrom", "when `value` is not empty", pod("env: [{name: A, value: x, §valueFrom: {fieldRef: {fieldPath: metadata.name}}}]")),
    ("spec.containers[0].env[0].valueFrom.fieldRef.fieldPath", "Unsupported value", pod("env: [{name: A, valueFrom: {fieldRef: {fieldPath: §spec.nodename}}}]")),
    ("spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName", 'Not found: "v"', pod("env: [{name: A, valueFrom: {fileKeyRef: {volumeName: §v, path: f, key: K}}}]")),
    ("spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName", "must be of type emptyDir", pod("env: [{name: A, valueFrom: {fileKeyRef: {volumeName: §v, path: f, key: K}}}]", "volumes: [{name: v, hostPath: {path: /tmp}}]")),
    ("spec.containers[0].env[0].valueFrom.fileKeyRef.path", "must be a relative path", pod("env: [{name: A, valueFrom: {fileKeyRef: {volumeName: v, path: §/f, key: K}}}]", "volumes: [{name: v, emptyDir: {}}]")),
    ("spec.containers[0].env[0].valueFrom.fileKeyRef.path", "must not contain '..'", pod("env: [{name: A, valueFrom: {fileKeyRef: {volumeName: v, path: §a/../f, key: K}}}]", "volumes: [{name: v, emptyDir: {}}]")),
    ("spec.containers[0].env[0].valueFrom.fileKeyRef.key", "", pod("env: [{name: A, valueFrom: {fileKeyRef: {volumeName: v, path: f, key: §A=B}}}]", "volumes: [{name: v, emptyDir: {}}]")),
    ("spec.containers[0].env[0].valueFrom.resourceFieldRef.resource", "Unsupported value", pod("env: [{name: A, valueFrom: {resourceFieldRef: {resource: §cpu}}}]")),
    ("spec.containers[0].envFrom[0]", "must specify one of", pod("envFrom: [§{prefix: A}]")),
    ("spec.containers[0].volumeMounts[0].name", 'Not found: "v"', pod("volumeMounts: [{name: §v, mountPath: /v}]")),
    ("spec.containers[0].ports[1].name", "Duplicate value", pod("ports: [{containerPort: 1, name: a}, {containerPort: 2, name: §a}]")),
    ("spec.containers[0].ports[0].containerPort", "between 1 and 65535", pod("ports: [{containerPort: §70000}]")),
    ("spec.containers[0].ports[0].name", "at least one letter", pod("ports: [{name: §'1', containerPort: 1}]")),
    ("spec.containers[0].resources.requests[cpu]", "less than or equal to cpu limit of 1", pod("resources: {requests: {cpu: §2}, limits: {cpu: 1}}")),
    ("spec.containers[0].resources.limits[gpu]", "standard resource", pod("resources: {limits: {gpu: §1}}")),
    ("spec.containers[0].livenessProbe", "must specify a handler type", pod("§livenessProbe: {periodSeconds: 1}")),
    ("spec.containers[0].livenessProbe.tcpSocket", "more than 1 handler type", pod("livenessProbe: {exec: {command: [a]}, §tcpSocket: {port: 1}}")),
    ("spec.containers[0].livenessProbe.httpGet.port", "between 1 and 65535", pod("livenessProbe: {httpGet: {port: §0}}")),
    ("spec.containers[0].livenessProbe.successThreshold", "must be 1", pod("livenessProbe: {exec: {command: [a]}, successThreshold: §3}")),
    ("spec.containers[0].readinessProbe.terminationGracePeriodSeconds", "must not be set for readinessProbes", pod("readinessProbe: {exec: {command: [a]}, terminationGracePeriodSeconds: §1}")),
    ("spec.containers[0].lifecycle.preStop.sleep.seconds", "less than or equal to terminationGracePeriodSeconds (30)", pod("lifecycle: {preStop: {sleep: {seconds: §31}}}")),
    ("spec.containers[0].lifecycle.stopSignal", "spec.os.name", pod("lifecycle: {stopSignal: §SIGUSR1}")),
    ("spec.volumes[0].hostPath", "more than 1 volume type", pod(spec="volumes: [{name: v, emptyDir: {}, §hostPath: {path: /}}]")),
    ("spec.volumes[0].hostPath.type", "Unsupported value", pod(spec="volumes: [{name: v, hostPath: {path: /, type: §x}}]")),
    ("spec.volumes[0].configMap.items[0].path", "must not contain '..'", pod(spec="volumes: [{name: v, configMap: {name: c, items: [{path: §a/../b, key: k}]}}]")),
    ("spec.volumes[0].secret.defaultMode", "0777", pod(spec="volumes: [{name: v, secret: {secretName: s, defaultMode: §01000}}]")),
    ("spec.volumes[1].name", "Duplicate value", pod(spec="volumes: [{name: v}, {name:    §v}]")),
    ("spec.initContainers[0].readinessProbe", "without restartPolicy=Always", pod(spec="initContainers: [{name: i, §readinessProbe: {exec: {command: [a]}}}]")),
    ("spec.initContainers[0].name", "Duplicate value", pod(spec="initContainers: [{name: §c}]")),
    ("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"', job(restart_policy="§Always")),
    ("spec.completions", "greater than or equal to 0", job("completions: §-1")),
    ("spec.completions", "Required value: when completion mode is Indexed", job("completionMode: Indexed\nparallelism: 1").replace("spec:\n", "§spec:\n", 1)),
    ("spec.completionMode", "Unsupported value", job("completionMode: §Sideways")),
    ("spec.podFailurePolicy.rules[0].onExitCodes.values", "must be ordered", job("podFailurePolicy: {rules: [{action: Ignore, onExitCodes: {operator: In, §values: [2, 1]}}]}")),
    ("spec.successPolicy.rules[0].succeededIndexes", "not below completions (2)", job("completions: 2\ncompletionMode: Indexed\nsuccessPolicy: {rules: [{succeededIndexes: §0-2}]}")),
    ("spec.successPolicy.rules[0].succeededIndexes", 'must ascend, "1-1" does not', job("completions: 2\ncompletionMode: Indexed\nsuccessPolicy: {rules: [{succeededIndexes: §1-1}]}")),
    ("spec.managedBy", "domain-prefixed path", job("managedBy: §Acme.io/foo")),
    ("spec.managedBy", "domain-prefixed path", job("managedBy: §acme.io/")),
    ("spec.managedBy", "domain-prefixed path", job("managedBy: §acme.io/f oo")),
    ("spec.maxFailedIndexes", "less than or equal to completions", job("completionMode: Indexed\ncompletions: 1\nmaxFailedIndexes: §2\nbackoffLimitPerIndex: 1")),
    ("metadata.name", "no more than 63", job(metadata=f"name: §{'x' * 64}")),
    ("spec.volumes[0].persistentVolumeClaim.claimName", "RFC 1123 subdomain", pod(spec="volumes: [{name: v, persistentVolumeClaim: {claimName: §../x}}]")),
    ("spec.containers[0].volumeMounts[0].mountPropagation", "only to privileged containers", pod("volumeMounts: [{name: v, mountPath: /v, mountPropagation: §Bidirectional}]", "volumes: [{name: v}]")),
    ("spec.containers[0].volumeMounts[0].mountPropagation", "Bidirectional is not supported here", pod("securityContext: {privileged: true}\nvolumeMounts: [{name: v, mountPath: /v, mountPropagation: §Bidirectional}]", "volumes: [{name: v}]")),
    ("spec.containers[0].volumeMounts[0].recursiveReadOnly", "when mountPropagation is None", pod("volumeMounts: [{name: v, mountPath: /v, readOnly: true, mountPropagation: HostToContainer, recursiveReadOnly: §Enabled}]", "volumes: [{name: v}]")),
    ("spec.containers[0].ports[0].hostIP", "valid IP address", pod("ports: [{containerPort: 80, hostIP: §x}]")),
    ("spec.containers[0].ports[1].hostPort", "Duplicate value", pod("ports: [{containerPort: 80}, §{containerPort: 80, name: b}]", "hostNetwork: true")),
    ("spec.containers[0].resources.limits[a.b/c]", "must be an integer", pod("resources: {limits: {a.b/c: §1.5}}")),
    ("spec.containers[0].resources.limits[a.b/c]", "Required value", pod("resources: {§requests: {a.b/c: 1}}").replace("§requests", "requests").replace("resources", "§resources")),
    ("spec.containers[0].resources.requests[a.b/c]", "must be equal to a.b/c limit of 2", pod("resources: {limits: {a.b/c: 2}, requests: {a.b/c: §1}}")),
    ("spec.containers[0].resources", "HugePages require cpu or memory", pod("§resources: {limits: {hugepages-2Mi: 2Mi}}")),
    ("spec.shareProcessNamespace", "cannot both be enabled", pod(spec="hostPID: true\nshareProcessNamespace: §true")),
    ("spec.hostPID", "when `hostUsers` is false", pod(spec="hostUsers: false\nhostPID: §true")),
    ("spec.dnsConfig.nameservers", "at least one DNS nameserver", pod(spec="dnsPolicy: None\n§dnsConfig: {}")),
    ("spec.dnsConfig.nameservers[0]", "valid IP address", pod(spec="dnsConfig: {nameservers: [§x]}")),
    ("spec.preemptionPolicy", "Unsupported value", pod(spec="preemptionPolicy: §x")),
    ("spec.schedulingGates[1]", "Duplicate value", pod(spec="preemptionPolicy: Never\nschedulingGates: [{name: a}, §{name: a}]")),
    ("spec.tolerations[0].operator", "Unsupported value", pod(spec="tolerations: [{key: a, operator: §Is}]")),
    ("spec.tolerations[0].operator", "must be Exists when `key` is empty", pod(spec="tolerations: [{operator: §Equal}]")),
    ("spec.tolerations[0].operator", "value must be empty", pod(spec="tolerations: [{key: a, value: b, operator: §Exists}]")),
    ("spec.tolerations[0].effect", "Unsupported value", pod(spec="tolerations: [{key: a, effect: §Never}]")),
    ("spec.tolerations[0].effect", "must be 'NoExecute'", pod(spec="tolerations: [{key: a, tolerationSeconds: 1, effect: §NoSchedule}]")),
    ("spec.topologySpreadConstraints[0].maxSkew", "greater than zero", pod(spec="topologySpreadConstraints: [{topologyKey: a, whenUnsatisfiable: DoNotSchedule, maxSkew: §0}]")),
    ("spec.topologySpreadConstraints[0].whenUnsatisfiable", "Unsupported value", pod(spec="topologySpreadConstraints: [{topologyKey: a, maxSkew: 1, whenUnsatisfiable: §x}]")),
    ("spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms", "at least one", pod(spec="affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {§nodeSelectorTerms: []}}}")),
    ("spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey", "Required value", pod(spec="affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [§{labelSelector: {}}]}}")),
    ("spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight", "range 1-100", pod(spec="affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{podAffinityTerm: {topologyKey: a}, weight: §101}]}}")),
    ("spec.securityContext.seccompProfile.localhostProfile", "when type is Localhost", pod(spec="securityContext: {§seccompProfile: {type: Localhost}}")),
    ("spec.securityContext.fsGroupChangePolicy", "Unsupported value", pod(spec="securityContext: {fsGroupChangePolicy: §x}")),
    ("spec.securityContext.sysctls[0].name", "name of a kernel parameter", pod(spec="securityContext: {sysctls: [{name: §A B, value: x}]}")),
    ("spec.containers[0].securityContext.allowPrivilegeEscalation", "`privileged` to true", pod("securityContext: {privileged: true, allowPrivilegeEscalation: §false}")),
    ("spec.strategy.type", 'supported values: "Recreate", "RollingUpdate"', controller("strategy: {type: §Rolling}")),
    ("spec.strategy.rollingUpdate", "Forbidden", controller("strategy: {type: Recreate, §rollingUpdate: {maxSurge: 1}}")),
    ("spec.strategy.rollingUpdate.maxUnavailable", "may not be 0", controller("strategy: {rollingUpdate: {maxSurge: 0%, maxUnavailable: §0}}")),
    ("spec.progressDeadlineSeconds", "greater than minReadySeconds", controller("minReadySeconds: 5\n  progressDeadlineSeconds: §5")),
    ("spec.minReadySeconds", "greater than or equal to 0", controller("minReadySeconds: §-1", "DaemonSet")),
    ("spec.updateStrategy.type", 'supported values: "OnDelete", "RollingUpdate"', controller("updateStrategy: {type: §Recreate}", "DaemonSet")),
    ("spec.podManagementPolicy", 'supported values: "OrderedReady", "Parallel"', controller("podManagementPolicy: §Ordered", "StatefulSet")),
    ("spec.selector.matchExpressions[0].values", "may not be specified", controller("replicas: 1").replace("matchLabels: {a: b}", "matchExpressions: [{key: a, operator: Exists, §values: [b]}]")),
    ("spec.containers[0].securityContext.procMount", "Unsupported value", pod("securityContext: {procMount: §x}")),
]  # fmt: skip


@pytest.mark.parametrize(("path", "words", "marked"), FORM + SENSE, ids=itertools.count())
def test_a_fault_is_told_with_path_and_place(path, words, marked):
    before, after = marked.split("§")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")

    ((found, *place, message),) = faults(before + after)

    assert (found, place) == (path, [line, column])
    assert words in message


@pytest.mark.parametrize(
    "spec",
    [
        "podFailurePolicy: {rules: []}",  # VALID-23: at most 20
        "managedBy: acme.io/~foo(1)",
        "completions: 2\ncompletionMode: Indexed\nsuccessPolicy: {rules: [{succeededIndexes: ''}]}",
    ],
)
def test_what_is_odd_but_allowed_in_a_job(spec):
    (loaded,) = load(["-"], stdin=io.StringIO(job(spec))).jobs

    assert loaded.obj.metadata.name == "j"


def test_all_faults_are_told_at_once_in_the_order_of_the_file():
    text = """\
        apiVersion: v1
        kind: Pod
        metadata: {name: P}
        spec:
          restartPolicy: Sometimes
          containers:
          - name: Bad_Name
            comand: [x]
          - name: main
            env: [{name: A, value: 1}]
            terminationMessagePolicy: Shout
        ---
        apiVersion: v1
        kind: Pod
        metadata: {
        ---
        apiVersion: v1
        kind: Secret
        metadata: {name: s}
        data: {k: "not base64!"}
        """

    assert [(path, line) for path, line, _, _ in faults(text)] == [
        ("metadata.name", 3),
        ("spec.restartPolicy", 5),
        ("spec.containers[0].name", 7),
        ("spec.containers[0].comand", 8),
        ("spec.containers[1].env[0].value", 10),
        ("spec.containers[1].terminationMessagePolicy", 11),
        ("", 16),
        ("data[k]", 20),
    ]


def test_a_wrong_value_is_not_told_again_as_a_missing_one():
    assert [path for path, *_ in faults(pod().replace("name: c", "name: 5"))] == ["spec.containers[0].name"]


def test_a_wrong_escape_in_a_quote_is_not_taken_for_an_open_quote():
    ((_, _, _, message),) = faults('a: "\\ud800"\n')

    assert "invalid Unicode character escape code" in message
    assert "never closed" not in message


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (pod("livenessProbe: {httpGet: /}"), "spec.containers[0].livenessProbe.httpGet"),
        (pod("env: [{name: A, valueFrom: {fieldref: {}}}]"), "spec.containers[0].env[0].valueFrom.fieldref"),
        (pod().replace("containers", "container"), "spec.container"),
        (pod("livenessProbe: {exec: {cmd: [a]}}"), "spec.containers[0].livenessProbe.exec.cmd"),
    ],
)
def test_what_is_misspelt_or_wrong_is_not_also_missing(text, path):
    assert [found for found, *_ in faults(text)] == [path]


def test_input_that_need_not_be_run_may_have_nothing_to_run():
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\n"

    assert list(load(["-"], stdin=io.StringIO(text), to_run=False).config_maps) == ["default/s"]
    with pytest.raises(ManifestError, match="<stdin>: nothing to check"):
        load(["-"], stdin=io.StringIO(""), to_run=False)


def test_errors_name_file_place_object_and_path(tmp_path):
    file = tmp_path / "web.yaml"
    file.write_text(pod("comand: [x]"))

    with pytest.raises(ManifestError) as caught:
        load([str(file)])

    assert str(caught.value) == (
        f'{file}:7:5: Pod default/p: spec.containers[0].comand: unknown field; did you mean "command"?'
    )


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("kind: Pod\n", "apiVersion", "for a Pod it is v1"),
        ("apiVersion: v1\n", "kind", "Required value"),
        ("version: '3'\nservices: {web: {image: nginx}}\n", "kind", "looks like a Compose file"),
        ("nginx: {entrypoint: [nginx]}\n", "kind", "looks like an images file; name it with --images"),
        ("apiVersion: v1\nkind: Pods\n", "kind", 'there is no such kind in v1; did you mean "Pod"?'),
        ("apiVersion: batch/v1\nkind: Task\n", "kind", "there is no such kind in batch/v1"),
        ("apiVersion: v1\nkind: pod\n", "kind", 'did you mean "Pod"?'),
        ("apiVersion: batch/v1\nkind: Jobs\n", "kind", 'did you mean "Job"?'),
        ("apiVersion: extensions/v1beta1\nkind: Deployment\n", "apiVersion", 'supported values: "apps/v1"'),
        ("- a\n- b\n", "", "expected an object"),
        ("apiVersion: v1\nkind: List\nitems: {}\n", "items", "expected a list"),
        ("apiVersion: v1\nkind: List\nitem: []\nitems: []\n", "item", "unknown field"),
        ("# nothing\n", "", "nothing to run"),
        ("apiVersion: v1\nkind: Endpoints\nmetadata: {name: s}\n", "", "passed over: Endpoints"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\n", "", "nothing to run"),
    ],
)
def test_what_is_no_manifest(text, path, words):
    ((found, _, _, message),) = faults(text)

    assert found == path
    assert words in message


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}\n",
        'apiVersion: v1\nkind: Pod\nmetadata:\n  name: "{{ .Release.Name }}"\nspec: {containers: [{name: c}]}\n',
        "apiVersion: v1\nkind: Pod\n{{- if .Values.x }}\nmetadata: {}\n{{- end }}\n",
    ],
)
def test_a_template_gets_one_piece_of_advice(text):
    ((_, _, _, message),) = [fault for fault in faults(text) if "render" in fault[3]]

    assert "render it first, for example with `helm template`" in message


def test_double_braces_in_a_good_manifest_are_no_template():
    manifest = load(["-"], stdin=io.StringIO(pod('args: ["{{ .Values }}"]')))

    assert manifest.pods[0].obj.spec.containers[0].args == ("{{ .Values }}",)


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ("data: {'': aGk=}", "data[]"),
        ("data: {a b: aGk=}", "data[a b]"),
        ("data: {k: hello}", "data[k]"),
        ("type: kubernetes.io/tls\ndata: {tls.crt: aGk=}", "data[tls.key]"),
    ],
)
def test_secrets(data, path):
    ((found, *_),) = faults(f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{data}\n")

    assert found == path


def test_the_same_name_twice():
    ((path, line, _, message),) = faults(pod() + "---\n" + pod())

    assert (path, line) == ("metadata.name", 10)
    assert message == 'Duplicate value: "p" (also in <stdin>:3)'


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("replicas: -1", "spec.replicas"),
        ("replicas: 1", None),
    ],
)
def test_controllers_are_checked_with_their_templates(text, path):
    manifest = f"""\
        apiVersion: apps/v1
        kind: Deployment
        metadata: {{name: d}}
        spec:
          {text}
          selector: {{matchLabels: {{app: other}}}}
          template:
            metadata: {{labels: {{app: mine}}}}
            spec: {{restartPolicy: Never, containers: [{{name: C}}]}}
        """

    expected = [
        "spec.template.metadata.labels",
        "spec.template.spec.restartPolicy",
        "spec.template.spec.containers[0].name",
    ]
    assert [found for found, *_ in faults(manifest)] == ([path] if path else []) + expected


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("", "Required value"),
        ("* * * *", "exactly 5 fields, found 4"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * * foo *", "failed to parse int from foo"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number"),
        ("TZ=UTC * * * * *", "timeZone"),
    ],
)
def test_schedules(schedule, words):
    text = f"""\
        apiVersion: batch/v1
        kind: CronJob
        metadata: {{name: c}}
        spec:
          schedule: "{schedule}"
          jobTemplate: {{spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: c}}]}}}}}}}}
        """
    ((path, line, _, message),) = faults(text)

    assert (path, line) == ("spec.schedule", 5)
    assert words in message


_SNIPPETS = st.sampled_from(
    [
        "a",
        "{",
        "}",
        "[",
        "]",
        ":",
        "- ",
        "\n",
        "  ",
        '"',
        "'",
        "&x ",
        "*x ",
        "<<: ",
        "|",
        "1",
        "~",
        "!!str ",
        "name",
        "#",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_SNIPPETS, max_size=30).map("".join))
def test_no_input_brings_a_traceback(noise):
    """Whatever stands where a container's fields should."""
    try:
        load(["-"], stdin=io.StringIO(pod(noise)))
    except ManifestError as error:
        assert all(fault.message for fault in error.errors)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=4), below, max_size=3),
    max_leaves=6,
)
_FIELDS = [
    "env",
    "ports",
    "command",
    "livenessProbe",
    "lifecycle",
    "resources",
    "volumeMounts",
    "restartPolicyRules",
]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(_FIELDS), _JSON, min_size=1))
def test_no_value_of_any_type_brings_a_traceback(fields):
    import json

    container = {"name": "c", **fields}
    data = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}
    try:
        load(["-"], stdin=io.StringIO(json.dumps(data)))
    except ManifestError as error:
        assert all(fault.path.startswith("spec.containers[0].") for fault in error.errors)
