"""Refuses what the API server would refuse (VALID-*), in its words where tools might look for them.

Takes objects after defaulting and answers with (field path, message) pairs, all of them. Where local
processes need less than a cluster does, less is asked: an image is optional (VALID-3), a negative grace
period counts as one second. Whether this machine can run the thing is not decided here.
"""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from minikubelet.api.config import ConfigMap, Secret
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.patterns import pattern
from minikubelet.api.pod import (
    Container,
    ContainerPort,
    DownwardAPIVolumeFile,
    EnvFromSource,
    EnvVar,
    HTTPGetAction,
    IntOrString,
    KeyToPath,
    Lifecycle,
    LifecycleHandler,
    Pod,
    PodSpec,
    PodTemplateSpec,
    Probe,
    ResourceFieldSelector,
    ResourceRequirements,
    Volume,
    VolumeMount,
)
from minikubelet.api.quantity import parse_quantity
from minikubelet.api.rules import (
    ENV_NAME,
    HEADER_NAME,
    Complaint,
    Complaints,
    at_least,
    config_key,
    dns_label,
    dns_subdomain,
    duplicate,
    each,
    env_name,
    forbidden,
    invalid,
    label_value,
    not_found,
    one_of,
    port_name,
    qualified_name,
    relative_path,
    required,
    unsupported,
)
from minikubelet.api.validation_security import validate_container_security, validate_pod_security

# ------------------------------------------------------------------ metadata


def validate_meta(
    meta: ObjectMeta, path: str = "metadata", *, name: Callable[[str], str | None] = dns_subdomain
) -> Complaints:
    """VALID-2."""
    if meta.generate_name:
        yield from each((f"{path}.generateName", name(meta.generate_name.rstrip("-.") or "-")))
    if meta.name:
        yield from each((f"{path}.name", name(meta.name)))
    elif not meta.generate_name:
        yield f"{path}.name", required("name or generateName is required")
    yield from each((f"{path}.namespace", dns_label(meta.namespace)))
    yield from validate_labels(meta, path)


def validate_labels(meta: ObjectMeta, path: str) -> Complaints:
    for key, value in meta.labels.items():
        yield from each(
            (f"{path}.labels[{key}]", qualified_name(key)),
            (f"{path}.labels[{key}]", label_value(value)),
        )
    for key in meta.annotations:
        yield from each((f"{path}.annotations[{key}]", qualified_name(key.lower())))
    if sum(len(k) + len(v) for k, v in meta.annotations.items()) > 256 * 1024:
        yield f"{path}.annotations", "Too long: may not be more than 262144 bytes"
    for index, finalizer in enumerate(meta.finalizers):
        yield from each((f"{path}.finalizers[{index}]", qualified_name(finalizer)))


# ------------------------------------------------------------------ pods


def validate_pod(pod: Pod) -> list[Complaint]:
    return [*validate_meta(pod.metadata), *validate_pod_spec(pod.spec, "spec")]


def validate_pod_template(template: PodTemplateSpec, path: str) -> Complaints:
    yield from validate_labels(template.metadata, f"{path}.metadata")
    yield from validate_pod_spec(template.spec, f"{path}.spec")


_RESTART_POLICIES = ("Always", "Never", "OnFailure")
_DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")


def validate_pod_spec(spec: PodSpec, path: str) -> Complaints:
    yield from each(
        (f"{path}.hostname", dns_label(spec.hostname) if spec.hostname else None),
        (f"{path}.subdomain", dns_label(spec.subdomain) if spec.subdomain else None),
        (f"{path}.serviceAccountName", dns_subdomain(spec.service_account_name)),
        (f"{path}.nodeName", dns_subdomain(spec.node_name) if spec.node_name else None),
        (
            f"{path}.priorityClassName",
            dns_subdomain(spec.priority_class_name) if spec.priority_class_name else None,
        ),
    )
    yield from one_of(f"{path}.restartPolicy", spec.restart_policy, _RESTART_POLICIES)  # VALID-4
    yield from one_of(f"{path}.dnsPolicy", spec.dns_policy, _DNS_POLICIES)
    deadline = spec.active_deadline_seconds
    if deadline is not None and not 1 <= deadline < 2**31:  # VALID-11
        yield (
            f"{path}.activeDeadlineSeconds",
            invalid(deadline, "must be between 1 and 2147483647, inclusive"),
        )
    if spec.os is not None:
        yield from one_of(f"{path}.os.name", spec.os.name, ("linux", "windows"))
        if spec.os.name == "windows":
            yield f"{path}.os.name", forbidden("this is a Linux host")
    for index, gate in enumerate(spec.readiness_gates):
        yield from each(
            (f"{path}.readinessGates[{index}].conditionType", qualified_name(gate.condition_type))
        )
    for index, alias in enumerate(spec.host_aliases):
        yield from each(
            (f"{path}.hostAliases[{index}].ip", _ip_address(alias.ip)),
            *((f"{path}.hostAliases[{index}].hostnames", dns_subdomain(name)) for name in alias.hostnames),
        )
    for key, value in spec.node_selector.items():
        yield from each(
            (f"{path}.nodeSelector[{key}]", qualified_name(key)),
            (f"{path}.nodeSelector[{key}]", label_value(value)),
        )
    yield from validate_pod_security(spec.security_context, f"{path}.securityContext")
    yield from _validate_host_namespaces(spec, path)
    yield from _validate_dns(spec, path)
    if spec.tolerations or spec.affinity or spec.topology_spread_constraints or spec.preemption_policy:
        from minikubelet.api.validation_scheduling import validate_scheduling

        yield from validate_scheduling(spec, path)
    if spec.resources is not None:
        yield from _validate_resources(spec.resources, f"{path}.resources")

    volumes: set[str] = set()
    for index, volume in enumerate(spec.volumes):
        where = f"{path}.volumes[{index}]"
        yield from _validate_volume(volume, where)
        if volume.name in volumes:
            yield f"{where}.name", duplicate(volume.name)
        volumes.add(volume.name)

    if not spec.containers:  # VALID-1
        yield f"{path}.containers", required()
    names: set[str] = set()
    host_ports: set[tuple[int, str, str | None]] = set()
    for index, container in enumerate(spec.containers):
        where = f"{path}.containers[{index}]"
        yield from _validate_container(container, where, spec, volumes, names)
        yield from _validate_main(container, where, spec)
        yield from _validate_host_ports(container, where, spec, host_ports)
    for index, container in enumerate(spec.init_containers):
        where = f"{path}.initContainers[{index}]"
        yield from _validate_container(container, where, spec, volumes, names)
        yield from _validate_init(container, where, spec)
        yield from _validate_host_ports(container, where, spec, set())


def _validate_host_namespaces(spec: PodSpec, path: str) -> Complaints:
    if spec.share_process_namespace and spec.host_pid:
        why = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield f"{path}.shareProcessNamespace", invalid("true", why)
    if spec.host_users is False:
        for field, shared in (("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc)):
            if shared:
                yield f"{path}.{field}", forbidden("when `hostUsers` is false")


def _validate_dns(spec: PodSpec, path: str) -> Complaints:
    config: Any = spec.dns_config or {}
    servers, searches = config.get("nameservers") or (), config.get("searches") or ()
    if spec.dns_policy == "None" and not servers:
        why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        yield f"{path}.dnsConfig.nameservers", required(why)
    for field, given, most in (("nameservers", servers, 3), ("searches", searches, 32)):
        if len(given) > most:
            yield f"{path}.dnsConfig.{field}", invalid(len(given), f"must not have more than {most}")
    yield from each(
        *((f"{path}.dnsConfig.nameservers[{i}]", _ip_address(one)) for i, one in enumerate(servers)),
        *((f"{path}.dnsConfig.searches[{i}]", _search(one)) for i, one in enumerate(searches)),
    )
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            yield f"{path}.dnsConfig.options[{index}].name", required()


def _search(value: str) -> str | None:
    """A search domain; it may begin with underscores and end in a dot."""
    return dns_subdomain(value.removesuffix(".").replace("_", "x") or "x")


def _ip_address(value: str) -> str | None:
    import socket

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, value)
        except (OSError, ValueError):
            continue
        return None
    return invalid(value, "must be a valid IP address")


# ------------------------------------------------------------------ containers


_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("FallbackToLogsOnError", "File")
_PROBES = ("liveness", "readiness", "startup")


def _validate_container(
    container: Container, path: str, spec: PodSpec, volumes: Collection[str], names: set[str]
) -> Complaints:
    """What holds for every container. Adds its name to `names`."""
    if not container.name:
        yield f"{path}.name", required()
    elif (message := dns_label(container.name)) is not None:
        yield f"{path}.name", message
    elif container.name in names:
        yield f"{path}.name", duplicate(container.name)
    names.add(container.name)

    if container.image and container.image != container.image.strip():
        yield f"{path}.image", invalid(container.image, "must not have leading or trailing whitespace")
    if container.image_pull_policy:
        yield from one_of(f"{path}.imagePullPolicy", container.image_pull_policy, _PULL_POLICIES)
    yield from one_of(  # VALID-19
        f"{path}.terminationMessagePolicy", container.termination_message_policy, _MESSAGE_POLICIES
    )
    yield from _validate_ports(container.ports, f"{path}.ports")
    for index, variable in enumerate(container.env):
        yield from _validate_env(variable, path, index, spec)
    for index, source in enumerate(container.env_from):
        yield from _validate_env_from(source, f"{path}.envFrom[{index}]")
    mount_paths: set[str] = set()
    for index, mount in enumerate(container.volume_mounts):
        where = f"{path}.volumeMounts[{index}]"
        yield from _validate_mount(mount, where, volumes, mount_paths)
        if mount.mount_propagation == "Bidirectional":
            privileged = container.security_context is not None and container.security_context.privileged
            why = "Bidirectional mount propagation is available only to privileged containers"
            if privileged:
                why = "Bidirectional is not supported here, what a container mounts stays its own"
            yield f"{where}.mountPropagation", forbidden(why)
    yield from _validate_resources(container.resources, f"{path}.resources")
    yield from _validate_restart_rules(container, path)
    if container.security_context is not None:
        yield from validate_container_security(container.security_context, f"{path}.securityContext")


def _validate_main(container: Container, path: str, spec: PodSpec) -> Complaints:
    """What holds for main containers and for sidecars."""
    if container.restart_policy is not None:  # VALID-5
        yield from one_of(f"{path}.restartPolicy", container.restart_policy, _RESTART_POLICIES)
    if container.lifecycle is not None:
        yield from _validate_lifecycle(container.lifecycle, f"{path}.lifecycle", spec)
    for kind in _PROBES:
        probe: Probe | None = getattr(container, f"{kind}_probe")
        if probe is not None:
            yield from _validate_probe(probe, f"{path}.{kind}Probe", kind)


def _validate_init(container: Container, path: str, spec: PodSpec) -> Complaints:
    """VALID-14."""
    if container.restart_policy == "Always":
        yield from _validate_main(container, path, spec)
        return
    if container.restart_policy is not None:
        yield from one_of(f"{path}.restartPolicy", container.restart_policy, _RESTART_POLICIES)
    for field, given in (
        ("lifecycle", container.lifecycle),
        ("livenessProbe", container.liveness_probe),
        ("readinessProbe", container.readiness_probe),
        ("startupProbe", container.startup_probe),
    ):
        if given is not None:
            yield (
                f"{path}.{field}",
                forbidden("may not be set for init containers without restartPolicy=Always"),
            )


def _validate_restart_rules(container: Container, path: str) -> Complaints:
    """VALID-6."""
    rules = container.restart_policy_rules
    if rules and container.restart_policy is None:
        yield f"{path}.restartPolicy", required("must be set when restartPolicyRules are")
    if len(rules) > 20:
        yield f"{path}.restartPolicyRules", f"Too many: {len(rules)}: must have at most 20 items"
    for index, rule in enumerate(rules):
        where = f"{path}.restartPolicyRules[{index}]"
        yield from one_of(f"{where}.action", rule.action, ("Restart", "RestartAllContainers"))
        if rule.exit_codes is None:
            yield f"{where}.exitCodes", required()
            continue
        yield from one_of(f"{where}.exitCodes.operator", rule.exit_codes.operator, ("In", "NotIn"))
        if len(rule.exit_codes.values) > 255:
            yield f"{where}.exitCodes.values", "Too many: must have at most 255 items"


def _validate_ports(ports: Sequence[ContainerPort], path: str) -> Complaints:
    """VALID-18."""
    names: set[str] = set()
    for index, port in enumerate(ports):
        where = f"{path}[{index}]"
        if port.name:
            yield from each((f"{where}.name", port_name(port.name)))
            if port.name in names:
                yield f"{where}.name", duplicate(port.name)
            names.add(port.name)
        if port.container_port == 0:
            yield f"{where}.containerPort", required()
        else:
            yield from each((f"{where}.containerPort", _port_number(port.container_port)))
        if port.host_port:
            yield from each((f"{where}.hostPort", _port_number(port.host_port)))
        if port.host_ip:
            yield from each((f"{where}.hostIP", _ip_address(port.host_ip)))
        yield from one_of(f"{where}.protocol", port.protocol, ("SCTP", "TCP", "UDP"))


def _validate_host_ports(
    container: Container, path: str, spec: PodSpec, taken: set[tuple[int, str, str | None]]
) -> Complaints:
    """Those of `containers` together, of each init container alone. With hostNetwork every port is one."""
    for index, port in enumerate(container.ports):
        host_port = port.host_port or (port.container_port if spec.host_network else 0)
        if not host_port:
            continue
        where = f"{path}.ports[{index}].hostPort"
        if spec.host_network and host_port != port.container_port:
            yield where, invalid(host_port, "must match `containerPort` when `hostNetwork` is true")
        key = (host_port, port.protocol, port.host_ip)
        if key in taken:
            yield where, duplicate(f"{port.protocol}/{port.host_ip or ''}/{host_port}")
        taken.add(key)


def _port_number(value: int) -> str | None:
    return None if 1 <= value <= 65535 else invalid(value, "must be between 1 and 65535, inclusive")


def _port(value: IntOrString) -> str | None:
    return port_name(value) if isinstance(value, str) else _port_number(value)


# ------------------------------------------------------------------ environment


_ENV_SOURCES = ("field_ref", "resource_field_ref", "config_map_key_ref", "secret_key_ref", "file_key_ref")
_FIELD_PATHS = {
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
}
_FILE_FIELD_PATHS = {
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.labels",
    "metadata.annotations",
}
_SUBSCRIPTED = pattern(r"metadata\.(labels|annotations)\['([^']*)'\]")


def _validate_env(variable: EnvVar, container_path: str, index: int, spec: PodSpec) -> Complaints:
    """VALID-16."""
    if ENV_NAME.fullmatch(variable.name) and variable.value_from is None:
        return
    path = f"{container_path}.env[{index}]"
    yield from each((f"{path}.name", env_name(variable.name)))
    source = variable.value_from
    if source is None:
        return
    path += ".valueFrom"
    given = sum(getattr(source, name) is not None for name in _ENV_SOURCES)
    if variable.value:
        yield path, invalid("", "may not be specified when `value` is not empty")
    if given == 0:
        yield (
            path,
            invalid("", "must specify one of: " + ", ".join(f"`{_camel(name)}`" for name in _ENV_SOURCES)),
        )
    if given > 1:
        yield path, invalid("", "may not have more than one field specified at a time")
    if source.field_ref is not None:
        where = f"{path}.fieldRef"
        if source.field_ref.api_version != "v1":
            yield f"{where}.apiVersion", unsupported(source.field_ref.api_version, ("v1",))
        yield from each((f"{where}.fieldPath", _field_path(source.field_ref.field_path, _FIELD_PATHS)))
    if source.resource_field_ref is not None:
        yield from _validate_resource_ref(source.resource_field_ref, f"{path}.resourceFieldRef")
    for field, selector in (
        ("configMapKeyRef", source.config_map_key_ref),
        ("secretKeyRef", source.secret_key_ref),
    ):
        if selector is not None:
            yield from each(
                (f"{path}.{field}.name", dns_subdomain(selector.name) if selector.name else required()),
                (f"{path}.{field}.key", config_key(selector.key) if selector.key else required()),
            )
    if (file := source.file_key_ref) is not None:
        path += ".fileKeyRef"
        named = [volume for volume in spec.volumes if volume.name == file.volume_name]
        if not named:
            yield f"{path}.volumeName", not_found(file.volume_name)
        elif named[0].empty_dir is None:
            yield (
                f"{path}.volumeName",
                invalid(file.volume_name, "referenced volume must be of type emptyDir"),
            )
        yield from each((f"{path}.path", relative_path(file.path)), (f"{path}.key", env_name(file.key)))


def _camel(name: str) -> str:
    from minikubelet.api.codec import wire_name

    return wire_name(name)


def _field_path(value: str, supported: Collection[str]) -> str | None:
    if not value:
        return required()
    subscripted = _SUBSCRIPTED.fullmatch(value)
    if subscripted is not None:
        key = subscripted[2] if subscripted[1] == "labels" else subscripted[2].lower()
        return qualified_name(key)
    if value in supported:
        return None
    return unsupported(value, {*supported, "metadata.labels['<KEY>']", "metadata.annotations['<KEY>']"})


_COUNTED = ("cpu", "memory", "ephemeral-storage")


def _validate_resource_ref(selector: ResourceFieldSelector, path: str) -> Complaints:
    kind, _, resource = selector.resource.partition(".")
    if not selector.resource:
        yield f"{path}.resource", required()
    elif kind not in ("limits", "requests") or not (
        resource in _COUNTED or resource.startswith("hugepages-")
    ):
        supported = [f"{kind}.{name}" for kind in ("limits", "requests") for name in _COUNTED]
        yield f"{path}.resource", unsupported(selector.resource, supported)
    divisor = parse_quantity(selector.divisor or 0).nano
    units = {"cpu": ("1m", "1"), "memory": ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi")}
    if resource in _COUNTED or resource.startswith("hugepages-"):
        allowed = units["cpu" if resource == "cpu" else "memory"]
        if resource != "cpu":
            allowed = (*allowed, "1Ti", "1Pi", "1Ei")
        if divisor and divisor not in {parse_quantity(unit).nano for unit in allowed}:
            yield f"{path}.divisor", unsupported(selector.divisor, allowed)


def _validate_env_from(source: EnvFromSource, path: str) -> Complaints:
    if source.prefix:
        yield from each((f"{path}.prefix", env_name(source.prefix)))
    if source.config_map_ref is None and source.secret_ref is None:
        yield path, invalid("", "must specify one of: `configMapRef` or `secretRef`")
    if source.config_map_ref is not None and source.secret_ref is not None:
        yield path, invalid("", "may not have more than one field specified at a time")
    for field, ref in (("configMapRef", source.config_map_ref), ("secretRef", source.secret_ref)):
        if ref is not None:
            yield from each((f"{path}.{field}.name", dns_subdomain(ref.name) if ref.name else required()))


# ------------------------------------------------------------------ mounts and resources


def _validate_mount(mount: VolumeMount, path: str, volumes: Collection[str], paths: set[str]) -> Complaints:
    """VALID-17. Adds its path to `paths`."""
    if not mount.name:
        yield f"{path}.name", required()
    elif mount.name not in volumes:
        yield f"{path}.name", not_found(mount.name)
    if not mount.mount_path:
        yield f"{path}.mountPath", required()
    elif mount.mount_path in paths:
        yield f"{path}.mountPath", invalid(mount.mount_path, "must be unique")
    paths.add(mount.mount_path)
    if mount.sub_path and mount.sub_path_expr:
        yield (
            f"{path}.subPathExpr",
            invalid(mount.sub_path_expr, "subPathExpr and subPath are mutually exclusive"),
        )
    yield from each(
        (f"{path}.subPath", relative_path(mount.sub_path) if mount.sub_path else None),
        (f"{path}.subPathExpr", relative_path(mount.sub_path_expr) if mount.sub_path_expr else None),
    )
    if mount.mount_propagation:
        supported = ("Bidirectional", "HostToContainer", "None")
        yield from one_of(f"{path}.mountPropagation", mount.mount_propagation, supported)
    if mount.recursive_read_only:
        supported = ("Disabled", "Enabled", "IfPossible")
        yield from one_of(f"{path}.recursiveReadOnly", mount.recursive_read_only, supported)
        if mount.recursive_read_only != "Disabled" and not mount.read_only:
            yield f"{path}.recursiveReadOnly", forbidden("may only be specified when readOnly is true")
        if mount.recursive_read_only != "Disabled" and mount.mount_propagation not in (None, "", "None"):
            why = "may only be specified when mountPropagation is None or not specified"
            yield f"{path}.recursiveReadOnly", forbidden(why)


def _validate_resources(resources: ResourceRequirements, path: str) -> Complaints:
    for field, quantities in (("limits", resources.limits), ("requests", resources.requests)):
        for name, value in quantities.items():
            if field == "requests" and resources.limits.get(name) == value:
                continue  # the limit's own default
            where = f"{path}.{field}[{name}]"
            if name not in _COUNTED and not name.startswith("hugepages-"):
                if "/" not in name:
                    yield (
                        where,
                        invalid(name, "must be a standard resource for containers or have a domain prefix"),
                    )
                else:
                    yield from each((where, qualified_name(name)))
            if parse_quantity(value).nano < 0:
                yield where, invalid(str(value), "must be greater than or equal to 0")
            if not _is_overcommittable(name) and parse_quantity(value).nano % _WHOLE:
                yield where, invalid(str(value), "must be an integer")
    for name, request in resources.requests.items():
        limit = resources.limits.get(name)
        if limit is None:
            if not _is_overcommittable(name):
                why = "must be set for a resource that cannot be overcommitted"
                yield f"{path}.limits[{name}]", required(why)
            continue
        asked, allowed = parse_quantity(request), parse_quantity(limit)
        if asked != allowed and not _is_overcommittable(name):
            why = f"must be equal to {name} limit of {limit}"
            yield f"{path}.requests[{name}]", invalid(str(request), why)
        elif asked > allowed:
            why = f"must be less than or equal to {name} limit of {limit}"
            yield f"{path}.requests[{name}]", invalid(str(request), why)
    names = {*resources.limits, *resources.requests}
    if not names & {"cpu", "memory"} and any(name.startswith("hugepages-") for name in names):
        yield path, forbidden("HugePages require cpu or memory")


_WHOLE = 10**9  # billionths


def _is_overcommittable(name: str) -> bool:
    """Whether requests may differ from limits (`IsOvercommitAllowed`): not for devices and huge pages."""
    is_native = "/" not in name or "kubernetes.io/" in name
    return is_native and not name.startswith("hugepages-")


# ------------------------------------------------------------------ probes and hooks


def _validate_probe(probe: Probe, path: str, kind: str) -> Complaints:
    """VALID-7, VALID-8, VALID-9."""
    yield from _validate_handler(probe, path, ("exec", "http_get", "tcp_socket", "grpc"))
    yield from at_least(0, f"{path}.initialDelaySeconds", probe.initial_delay_seconds)
    yield from at_least(0, f"{path}.timeoutSeconds", probe.timeout_seconds)
    yield from at_least(0, f"{path}.periodSeconds", probe.period_seconds)
    yield from at_least(0, f"{path}.successThreshold", probe.success_threshold)
    yield from at_least(0, f"{path}.failureThreshold", probe.failure_threshold)
    grace = probe.termination_grace_period_seconds
    if kind == "readiness":
        if grace is not None:
            yield (
                f"{path}.terminationGracePeriodSeconds",
                invalid(grace, "must not be set for readinessProbes"),
            )
        return
    if probe.success_threshold > 1:
        yield f"{path}.successThreshold", invalid(probe.success_threshold, "must be 1")
    if grace is not None and grace <= 0:
        yield f"{path}.terminationGracePeriodSeconds", invalid(grace, "must be greater than 0")


def _validate_lifecycle(lifecycle: Lifecycle, path: str, spec: PodSpec) -> Complaints:
    """VALID-12, VALID-13, VALID-15."""
    for field, handler in (("postStart", lifecycle.post_start), ("preStop", lifecycle.pre_stop)):
        if handler is None:
            continue
        where = f"{path}.{field}"
        yield from _validate_handler(handler, where, ("exec", "http_get", "tcp_socket", "sleep"))
        if handler.sleep is not None:
            grace = spec.termination_grace_period_seconds
            if not 0 <= handler.sleep.seconds <= grace:
                why = (
                    f"must be non-negative and less than or equal to terminationGracePeriodSeconds ({grace})"
                )
                yield f"{where}.sleep.seconds", invalid(handler.sleep.seconds, why)
    if lifecycle.stop_signal is not None:
        if spec.os is None or not spec.os.name:
            why = "may not be set for containers with empty `spec.os.name`"
            yield f"{path}.stopSignal", forbidden(why)
        if not _is_linux_signal(lifecycle.stop_signal):
            yield f"{path}.stopSignal", invalid(lifecycle.stop_signal, "must be the name of a Linux signal")


def _is_linux_signal(name: str) -> bool:
    """SIGTERM and its like; real-time signals count from an end: SIGRTMIN+1, SIGRTMAX-1."""
    import signal

    if name in signal.Signals.__members__:
        return True
    return re.fullmatch(r"SIGRTMIN\+([1-9]|1[0-5])|SIGRTMAX-([1-9]|1[0-4])", name) is not None


def _validate_handler(owner: Probe | LifecycleHandler, path: str, kinds: Sequence[str]) -> Complaints:
    given = [kind for kind in kinds if getattr(owner, kind) is not None]
    if not given:
        yield path, required("must specify a handler type")
    for kind in given[1:]:
        yield f"{path}.{_camel(kind)}", forbidden("may not specify more than 1 handler type")
    if owner.exec is not None and not owner.exec.command:
        yield f"{path}.exec.command", required()
    if owner.http_get is not None:
        yield from _validate_http(owner.http_get, f"{path}.httpGet")
    if owner.tcp_socket is not None:
        yield from each((f"{path}.tcpSocket.port", _port(owner.tcp_socket.port)))
    if isinstance(owner, Probe) and owner.grpc is not None:
        yield from each((f"{path}.grpc.port", _port_number(owner.grpc.port)))


def _validate_http(action: HTTPGetAction, path: str) -> Complaints:
    yield from each(
        (f"{path}.path", None if action.path else required()),
        (f"{path}.port", _port(action.port)),
    )
    yield from one_of(f"{path}.scheme", action.scheme, ("HTTP", "HTTPS"))
    for index, header in enumerate(action.http_headers):
        if not HEADER_NAME.fullmatch(header.name):
            why = "a valid HTTP header must consist of alphanumeric characters or '-'"
            yield f"{path}.httpHeaders[{index}].name", invalid(header.name, why)


# ------------------------------------------------------------------ volumes


_SOURCES = (
    "empty_dir",
    "host_path",
    "config_map",
    "secret",
    "downward_api",
    "projected",
    "persistent_volume_claim",
    "ephemeral",
)
_HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)


def _validate_volume(volume: Volume, path: str) -> Complaints:
    """VALID-2."""
    yield from each((f"{path}.name", dns_label(volume.name) if volume.name else required()))
    for kind in [kind for kind in _SOURCES if getattr(volume, kind) is not None][1:]:
        yield f"{path}.{_camel(kind)}", forbidden("may not specify more than 1 volume type")
    size_limit = None if volume.empty_dir is None else volume.empty_dir.size_limit
    if size_limit is not None and parse_quantity(size_limit).nano < 0:
        yield f"{path}.emptyDir.sizeLimit", forbidden("SizeLimit field must be a valid resource quantity")
    if volume.host_path is not None:
        yield from _validate_host_path(volume.host_path.path, volume.host_path.type, f"{path}.hostPath")
    if volume.config_map is not None:
        if not volume.config_map.name:
            yield f"{path}.configMap.name", required()
        yield from _validate_files(volume.config_map, f"{path}.configMap")
    if volume.secret is not None:
        if not volume.secret.secret_name:
            yield f"{path}.secret.secretName", required()
        yield from _validate_files(volume.secret, f"{path}.secret")
    if volume.downward_api is not None:
        yield from _validate_files(volume.downward_api, f"{path}.downwardAPI")
    claim = volume.persistent_volume_claim
    if claim is not None:
        message = dns_subdomain(claim.claim_name) if claim.claim_name else required()
        yield from each((f"{path}.persistentVolumeClaim.claimName", message))
    ephemeral: Any = volume.ephemeral
    if ephemeral is not None and "volumeClaimTemplate" not in ephemeral:
        yield f"{path}.ephemeral.volumeClaimTemplate", required()
    if volume.projected is not None:
        yield from _validate_projected(volume.projected, f"{path}.projected")


def _validate_host_path(host_path: str, kind: str, path: str) -> Complaints:
    if not host_path:
        yield f"{path}.path", required()
    elif ".." in host_path.split("/"):
        yield f"{path}.path", invalid(host_path, "must not contain '..'")
    if kind not in _HOST_PATH_TYPES:
        yield f"{path}.type", unsupported(kind, _HOST_PATH_TYPES)


def _validate_files(source: Any, path: str, taken: set[str] | None = None) -> Complaints:
    """Items and modes of a volume made of files; `taken` collects the paths of a projected volume."""
    yield from each((f"{path}.defaultMode", _mode(getattr(source, "default_mode", None))))
    items: Sequence[KeyToPath | DownwardAPIVolumeFile] = source.items
    for index, item in enumerate(items):
        where = f"{path}.items[{index}]"
        yield from each((f"{where}.mode", _mode(item.mode)), (f"{where}.path", _file_path(item.path)))
        if taken is not None:
            if item.path in taken:
                yield f"{where}.path", invalid(item.path, "conflicting duplicate paths")
            taken.add(item.path)
        if isinstance(item, KeyToPath):
            if not item.key:
                yield f"{where}.key", required()
            continue
        if item.field_ref is not None:
            ref = item.field_ref.field_path
            yield from each((f"{where}.fieldRef.fieldPath", _field_path(ref, _FILE_FIELD_PATHS)))
            if item.resource_field_ref is not None:
                yield where, invalid("", "fieldRef and resourceFieldRef can not be specified simultaneously")
        elif item.resource_field_ref is not None:
            yield from _validate_resource_ref(item.resource_field_ref, f"{where}.resourceFieldRef")
            if not item.resource_field_ref.container_name:
                yield f"{where}.resourceFieldRef.containerName", required()
        else:
            yield f"{where}.fieldRef", required("one of fieldRef and resourceFieldRef is required")


def _file_path(value: str) -> str | None:
    return relative_path(value) or (
        invalid(value, "must not start with '..'") if value.startswith("..") else None
    )


def _mode(value: int | None) -> str | None:
    if value is None or 0 <= value <= 0o777:
        return None
    return invalid(value, "must be a number between 0 and 0777 (octal), both inclusive")


def _validate_projected(volume: Any, path: str) -> Complaints:
    yield from each((f"{path}.defaultMode", _mode(volume.default_mode)))
    taken: set[str] = set()
    for index, source in enumerate(volume.sources):
        where = f"{path}.sources[{index}]"
        kinds = ("config_map", "secret", "downward_api", "service_account_token")
        given = [kind for kind in kinds if getattr(source, kind) is not None]
        if not given:
            yield (
                where,
                required("must specify a source: configMap, secret, downwardAPI or serviceAccountToken"),
            )
        for kind in given[1:]:
            yield f"{where}.{_camel(kind)}", forbidden("may not specify more than 1 volume type per source")
        for kind in ("config_map", "secret"):
            projection = getattr(source, kind)
            if projection is not None:
                if not projection.name:
                    yield f"{where}.{_camel(kind)}.name", required()
                yield from _validate_files(projection, f"{where}.{_camel(kind)}", taken)
        if source.downward_api is not None:
            yield from _validate_files(source.downward_api, f"{where}.downwardAPI", taken)
        if (token := source.service_account_token) is not None:
            yield from each((f"{where}.serviceAccountToken.path", _file_path(token.path)))
            if token.expiration_seconds is not None and not 600 <= token.expiration_seconds < 2**32:
                why = "may not specify a duration less than 10 minutes"
                yield f"{where}.serviceAccountToken.expirationSeconds", invalid(token.expiration_seconds, why)


# ------------------------------------------------------------------ configuration


def validate_config_map(config_map: ConfigMap) -> list[Complaint]:
    found = list(validate_meta(config_map.metadata))
    for field, data in (("data", config_map.data), ("binaryData", config_map.binary_data)):
        found += each(*((f"{field}[{key}]", config_key(key)) for key in data))
    for key in config_map.data.keys() & config_map.binary_data.keys():
        found.append((f"data[{key}]", invalid(key, "duplicate of key present in binaryData")))
    size = sum(map(len, (v.encode() for v in config_map.data.values())))
    if size + sum(map(len, config_map.binary_data.values())) > 1024 * 1024:
        found.append(("", "Too long: may not be more than 1048576 bytes"))
    return found


_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def validate_secret(secret: Secret) -> list[Complaint]:
    """`data` is what the object holds after stringData was merged into it."""
    found = list(validate_meta(secret.metadata))
    found += each(*((f"data[{key}]", config_key(key)) for key in secret.data))
    for key in _SECRET_KEYS.get(secret.type, ()):
        if key not in secret.data:
            found.append((f"data[{key}]", required(f"for a Secret of type {secret.type}")))
    if secret.type == "kubernetes.io/basic-auth" and not {"username", "password"} & secret.data.keys():
        found.append(("data", required("username or password")))
    if sum(map(len, secret.data.values())) > 1024 * 1024:
        found.append(("data", "Too long: may not be more than 1048576 bytes"))
    return found
