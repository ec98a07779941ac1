"""Refuses Services that the API server would refuse, as far as somebody here acts on the field."""

from minikubelet.api.pod import IntOrString
from minikubelet.api.rules import (
    Complaint,
    Complaints,
    dns_label,
    dns_subdomain,
    duplicate,
    each,
    forbidden,
    invalid,
    label_value,
    one_of,
    port_name,
    qualified_name,
    required,
)
from minikubelet.api.service import Service, ServicePort, ServiceSpec
from minikubelet.api.validation import validate_meta

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


def validate_service(service: Service) -> list[Complaint]:
    return [*validate_meta(service.metadata, name=dns_label), *_validate_spec(service.spec)]


def _validate_spec(spec: ServiceSpec) -> Complaints:
    yield from one_of("spec.type", spec.type, _TYPES)
    yield from one_of("spec.sessionAffinity", spec.session_affinity, ("ClientIP", "None"))
    if spec.is_external:
        name = spec.external_name or ""
        message = dns_subdomain(name.removesuffix(".")) if name else required()
        yield from each(("spec.externalName", message))
        if spec.cluster_ip:
            yield "spec.clusterIP", forbidden("may not be set for ExternalName services")
    elif not spec.ports and not spec.is_headless:
        yield "spec.ports", required()
    for key, value in spec.selector.items():
        yield from each(("spec.selector", qualified_name(key)), ("spec.selector", label_value(value)))
    yield from _validate_ports(spec.ports)


def _validate_ports(ports: tuple[ServicePort, ...]) -> Complaints:
    names: set[str] = set()
    numbers: set[tuple[int, str]] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        if port.name:
            yield from each((f"{path}.name", dns_label(port.name)))
            if port.name in names:
                yield f"{path}.name", duplicate(port.name)
            names.add(port.name)
        elif len(ports) > 1:
            yield f"{path}.name", required()
        yield from each((f"{path}.port", _port(port.port)), (f"{path}.targetPort", _target(port.target_port)))
        yield from one_of(f"{path}.protocol", port.protocol, ("SCTP", "TCP", "UDP"))
        if (port.port, port.protocol) in numbers:
            yield path, duplicate(f"{port.port}/{port.protocol}")
        numbers.add((port.port, port.protocol))


def _port(value: int) -> str | None:
    return None if 1 <= value <= 65535 else invalid(value, "must be between 1 and 65535, inclusive")


def _target(value: IntOrString | None) -> str | None:
    if value in (None, 0, ""):
        return None
    return port_name(value) if isinstance(value, str) else _port(value or 0)
