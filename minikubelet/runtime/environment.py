"""From a container's spec to the environment and the arguments of its process (ENV-*).

Everything is computed anew for every instance (ENV-14) from the pod, what was found out about its image, the
ConfigMaps and Secrets, and the node; nothing is kept. The one idea: a process gets more variables than the
manifest declares (PATH, HOME, HOSTNAME, those of the image), but `$(NAME)` sees only the declared ones, as in
the kubelet, which does not know the others.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from minikubelet.api.config import ConfigMap, Secret
from minikubelet.api.patterns import pattern
from minikubelet.api.pod import (
    ConfigMapKeySelector,
    Container,
    EnvVar,
    EnvVarSource,
    FileKeySelector,
    IntOrString,
    Pod,
    ResourceFieldSelector,
    SecretKeySelector,
)
from minikubelet.api.quantity import Quantity, parse_quantity
from minikubelet.api.values import Factory, frozen
from minikubelet.runtime.base import StartError
from minikubelet.runtime.images import STANDARD_PATH, Resolution, find_program, host_path, is_mounted

if TYPE_CHECKING:
    from pathlib import Path


class ConfigSource(Protocol):
    """Where ConfigMaps and Secrets are looked up; None if there is no such object now."""

    def config_map(self, namespace: str, name: str) -> ConfigMap | None: ...

    def secret(self, namespace: str, name: str) -> Secret | None: ...


@frozen
class NodeInfo:
    """What pods can learn about the machine."""

    name: str
    ip: str = "127.0.0.1"
    allocatable: Mapping[str, IntOrString] = Factory(dict)
    "Quantities by resource name: cpu, memory, ephemeral-storage."


def this_node(storage: str = "/") -> NodeInfo:
    """This machine; `storage` is a path on the file system that emptyDir volumes will use."""
    disk = os.statvfs(storage)
    return NodeInfo(
        name=os.uname().nodename.lower(),
        allocatable={
            "cpu": len(os.sched_getaffinity(0)),
            "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "ephemeral-storage": disk.f_blocks * disk.f_frsize,
        },
    )


def basic_environment(host: Mapping[str, str]) -> dict[str, str]:
    """What a process gets of the host's environment by default (ENV-13): PATH, HOME and LANG."""
    basics = {name: host[name] for name in ("HOME", "LANG") if name in host}
    return {"PATH": host_path(host), "HOME": "/", **basics}


# ------------------------------------------------------------------ environment


class ContainerEnvironment(dict[str, str]):
    """The variables of a process."""

    declared: Mapping[str, str]
    "Those of them that the manifest names, which are the ones `$(NAME)` can refer to."

    def __init__(self, variables: Mapping[str, str], declared: Mapping[str, str]) -> None:
        super().__init__(variables)
        self.declared = declared


def container_environment(
    pod: Pod,
    container: Container,
    resolution: Resolution,
    configs: ConfigSource,
    node: NodeInfo,
    host_env: Mapping[str, str],
    service_variables: Mapping[str, str] | None = None,
    volumes: "Mapping[str, Path] | None" = None,
) -> ContainerEnvironment:
    """The environment of one instance: host_env < HOSTNAME < image < Services < envFrom < env (ENV-1).

    `host_env` is `basic_environment`, or the host's whole environment for those who ask for it. The
    directories of the resolution's `path_prefix` come first in whatever PATH results. `volumes` are those of
    the pod, by name. Raises `StartError`.
    """
    lookup = _Lookup(pod.metadata.namespace, configs, volumes or {})
    declared = _declared_environment(pod, container, lookup, node, service_variables or {})
    variables = {**host_env, "HOSTNAME": hostname(pod, node), **resolution.env, **declared}
    path = variables.get("PATH", STANDARD_PATH)
    variables["PATH"] = ":".join((*resolution.path_prefix, *([path] if path else [])))
    for name, value in variables.items():
        if "\0" in value or "\0" in name:  # execve(2) has no way to say this
            message = f"invalid environment variable {name!r}: nul byte"
            raise StartError("RunContainerError", message, recorded=True)
    return ContainerEnvironment(variables, declared)


def hostname(pod: Pod, node: NodeInfo) -> str:
    """What `hostname` says inside the pod (`GeneratePodHostNameAndDomain`): at most 63 characters."""
    spec = pod.spec
    if spec.hostname_override:
        return spec.hostname_override
    if spec.host_network:
        return node.name
    name = (spec.hostname or pod.metadata.name)[:63].rstrip("-.")
    if spec.set_hostname_as_fqdn and spec.subdomain:
        return f"{name}.{spec.subdomain}.{pod.metadata.namespace}.svc.cluster.local"
    return name


def _declared_environment(
    pod: Pod,
    container: Container,
    lookup: "_Lookup",
    node: NodeInfo,
    service_variables: Mapping[str, str],
) -> dict[str, str]:
    """ENV-1..ENV-8: Services, envFrom in order, then env in order; the later one wins."""
    declared = dict(service_variables)
    for source in container.env_from:
        data: Mapping[str, str] | None = None
        if source.config_map_ref is not None:
            data = lookup.config_map(source.config_map_ref.name, source.config_map_ref.optional)
        elif source.secret_ref is not None:
            data = lookup.secret(source.secret_ref.name, source.secret_ref.optional)
        declared |= {source.prefix + key: value for key, value in (data or {}).items()}
    for variable in container.env:
        if (text := _variable(variable, declared, lookup, pod, container, node)) is not None:
            declared[variable.name] = text
    return declared


def _variable(
    variable: EnvVar,
    above: Mapping[str, str],
    lookup: "_Lookup",
    pod: Pod,
    container: Container,
    node: NodeInfo,
) -> str | None:
    """The value of one entry of env; None for an optional one that is not there (ENV-7)."""
    if variable.value or variable.value_from is None:
        return expand(variable.value or "", above)
    source = variable.value_from
    try:
        if source.field_ref is not None:
            return field_value(pod, source.field_ref.field_path, node)
        if source.resource_field_ref is not None:
            return resource_value(pod, container, source.resource_field_ref, node)
    except ValueError as error:
        raise StartError("CreateContainerConfigError", str(error)) from error
    return lookup.key(source)


@frozen
class _Lookup:
    """Finds ConfigMaps, Secrets and files, with the kubelet's words for what is missing."""

    namespace: str
    configs: ConfigSource
    volumes: "Mapping[str, Path]"

    def config_map(self, name: str, optional: bool | None) -> Mapping[str, str] | None:
        """Its data; binaryData never becomes a variable. None if it is missing and optional."""
        found = self.configs.config_map(self.namespace, name)
        if found is None and not optional:
            raise StartError("CreateContainerConfigError", f'configmap "{name}" not found')
        return found.data if found else None

    def secret(self, name: str, optional: bool | None) -> Mapping[str, str] | None:
        """Its data; bytes that are not UTF-8 reach the process as they are."""
        found = self.configs.secret(self.namespace, name)
        if found is None and not optional:
            raise StartError("CreateContainerConfigError", f'secret "{name}" not found')
        if found is None:
            return None
        return {key: value.decode(errors="surrogateescape") for key, value in found.data.items()}

    def key(self, source: EnvVarSource) -> str | None:
        ref: ConfigMapKeySelector | SecretKeySelector
        if source.file_key_ref is not None:
            return self.key_in_file(source.file_key_ref)
        if source.config_map_key_ref is not None:
            ref, kind = source.config_map_key_ref, "ConfigMap"
            data = self.config_map(ref.name, ref.optional)
        elif source.secret_key_ref is not None:
            ref, kind = source.secret_key_ref, "Secret"
            data = self.secret(ref.name, ref.optional)
        else:
            raise StartError("CreateContainerConfigError", "valueFrom has no source that is supported here")
        if data is not None and ref.key in data:
            return data[ref.key]
        if ref.optional:
            return None
        where = f"{kind} {self.namespace}/{ref.name}"
        raise StartError("CreateContainerConfigError", f"couldn't find key {ref.key} in {where}")

    def key_in_file(self, ref: FileKeySelector) -> str | None:
        """As the kubelet, it takes an empty value for a missing one, and lets only the key be optional: not
        the file (ENV-16)."""
        from minikubelet.runtime.env_file import read_variable

        try:
            value = read_variable(self.volumes[ref.volume_name], ref.path, ref.key)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            message = f'couldn\'t parse env file "{ref.path}" of volume "{ref.volume_name}": {reason}'
            raise StartError("CreateContainerConfigError", message) from error
        if value:
            return value
        if ref.optional:
            return None
        message = f'environment variable key "{ref.key}" not found in file "{ref.path}"'
        raise StartError("CreateContainerConfigError", message)


# ------------------------------------------------------------------ $(NAME)

_REFERENCE = pattern(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, lookup: Mapping[str, str]) -> str:
    """Replace `$(NAME)` once, from left to right (ENV-4).

    `$$` is a literal `$`; an unknown name, an unclosed `$(` and any other `$` stay as they are.
    """
    if "$" not in text:
        return text

    def replacement(match: re.Match[str]) -> str:
        name: str | None = match[1]
        return "$" if name is None else lookup.get(name, match[0])

    return _REFERENCE.sub(replacement, text)


# ------------------------------------------------------------------ arguments


def container_argv(container: Container, resolution: Resolution, env: ContainerEnvironment) -> list[str]:
    """The words to execute (ENV-6): the container's are expanded once, those of the image never."""
    of_image, own = resolution.argv[: resolution.image_words], resolution.argv[resolution.image_words :]
    return _located([*of_image, *_expanded(own, env)], container, resolution)


def probe_exec_argv(
    container: Container, command: Sequence[str], resolution: Resolution, env: ContainerEnvironment
) -> list[str]:
    """The words of an exec probe, expanded like the container's own (PROBE-21).

    The kubelet expands them from the raw env list, without envFrom and valueFrom; this uses their values.
    """
    return _exec(_expanded(command, env), container, resolution, env)


def hook_exec_argv(
    container: Container, command: Sequence[str], resolution: Resolution, env: ContainerEnvironment
) -> list[str]:
    """The words of an exec hook, which the kubelet does not expand at all (HOOK-8)."""
    return _exec(list(command), container, resolution, env)


def _expanded(words: Iterable[str], env: ContainerEnvironment) -> list[str]:
    return [expand(word, env.declared) for word in words]


def _exec(
    argv: list[str], container: Container, resolution: Resolution, env: ContainerEnvironment
) -> list[str]:
    argv = _located(argv, container, resolution)
    if not resolution.is_stub or find_program(argv[0], env["PATH"]) or is_mounted(argv[0], container):
        return argv
    return ["true"]  # the image's own tools are as absent as its server; a stub is always well


def _located(argv: list[str], container: Container, resolution: Resolution) -> list[str]:
    """A program named by an absolute path that this host lacks may be supplied by the images file's
    pathPrefix, which stands for the image's directories: `/sbin/apk` is then `apk` of the first that has it.
    """
    program = argv[0]
    if resolution.path_prefix and program.startswith("/") and not os.path.exists(program):
        supplied = find_program(os.path.basename(program), ":".join(resolution.path_prefix))
        if supplied and not is_mounted(program, container):
            return [supplied, *argv[1:]]
    return argv


# ------------------------------------------------------------------ downward API


def field_value(pod: Pod, field_path: str, node: NodeInfo) -> str:
    """ENV-9: one field of the pod as an environment variable has it. Raises `ValueError`."""
    match field_path:
        case "spec.nodeName":
            return pod.spec.node_name or node.name
        case "spec.serviceAccountName":
            return pod.spec.service_account_name
        case "status.hostIP" | "status.hostIPs" | "status.podIP" | "status.podIPs":
            return node.ip
        case "metadata.labels" | "metadata.annotations":
            raise ValueError(f"unsupported fieldPath: {field_path}")
    return field_text(pod, field_path)


def field_text(pod: Pod, field_path: str) -> str:
    """One field of the pod's metadata as a downwardAPI file has it: labels and annotations also as a whole,
    one `key="value"` a line, sorted by key. Raises `ValueError`."""
    metadata = pod.metadata
    match field_path:
        case "metadata.name":
            return metadata.name
        case "metadata.namespace":
            return metadata.namespace
        case "metadata.uid":
            return metadata.uid
        case "metadata.labels":
            return _map_text(metadata.labels)
        case "metadata.annotations":
            return _map_text(metadata.annotations)
    if field_path.endswith("']"):
        of, _, key = field_path.removesuffix("']").partition("['")
        if of == "metadata.labels":
            return metadata.labels.get(key, "")
        if of == "metadata.annotations":
            return metadata.annotations.get(key, "")
    raise ValueError(f"unsupported fieldPath: {field_path}")


def resource_value(
    pod: Pod, container: Container | None, selector: ResourceFieldSelector, node: NodeInfo
) -> str:
    """ENV-10: a limit or request of a container in units of the divisor, rounded up.

    `container` counts where the selector names none. A limit that is not set is that of the whole pod, or
    else what the node has; a request that is not set is the limit that is (DEF-2). Raises `ValueError`.
    """
    if selector.container_name:
        container = pod.spec.all_containers.get(selector.container_name)
    if container is None:
        raise ValueError(f"container {selector.container_name or ''} not found")

    kind, _, resource = selector.resource.partition(".")
    counted = resource in ("cpu", "memory", "ephemeral-storage") or resource.startswith("hugepages-")
    if kind not in ("limits", "requests") or not counted:
        raise ValueError(f"unsupported container resource: {selector.resource}")

    limits, requests = container.resources.limits, container.resources.requests
    of_pod = pod.spec.resources.limits if pod.spec.resources else {}
    if kind == "limits":
        choices = (limits.get(resource), of_pod.get(resource), node.allocatable.get(resource))
    else:
        choices = (requests.get(resource, limits.get(resource)), None, None)
    values = (parse_quantity(choice) for choice in choices if choice is not None)
    value = next((v for v in values if v.nano), Quantity(0))

    divisor = parse_quantity(selector.divisor or 0)
    if not divisor.nano:
        divisor = parse_quantity(1)
    if resource == "cpu":  # the kubelet divides whole millicores, and whole bytes
        return str(-(-value.milli // divisor.milli))
    return str(-(-value.units // divisor.units))


def _map_text(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={_quoted(pairs[key])}" for key in sorted(pairs))


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r"}
_ESCAPES |= {"\t": "\\t", "\v": "\\v"}


def _quoted(text: str) -> str:
    """The text as Go's `%q` prints it, which is the format of these files."""

    def escaped(character: str) -> str:
        code = ord(character)
        if character in _ESCAPES:
            return _ESCAPES[character]
        if character.isprintable():
            return character
        if code < 0x80:
            return f"\\x{code:02x}"
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

    return f'"{"".join(map(escaped, text))}"'
