"""What a pod as a whole requests, as the scheduler counts it before it chooses a node.

Responsible for one formula, `PodRequests` of `k8s.io/component-helpers/resource`, with the defaults that the
API server has put in by then; it holds nothing back and reserves nothing. The one idea (KEP-753, "Resources
calculation"): inits run one after another and the mains all together, so what a pod needs is the most that is
ever needed at once; and a sidecar, once started, counts in every moment after.
"""

from collections.abc import Iterable, Mapping

from minikubelet.api.pod import Container, IntOrString, PodSpec
from minikubelet.api.quantity import Quantity, parse_quantity
from minikubelet.api.values import frozen

ZERO = Quantity(0)


@frozen
class Effective:
    """How much of one resource a pod requests."""

    amount: Quantity
    decided_by: str
    "The moment, or the field, that the amount comes from, in words."


def effective_requests(spec: PodSpec) -> dict[str, Effective]:
    """By resource name. The spec's quantities have to be valid.

    The most of what the mains and all sidecars request together, and of what each ordinary init requests
    together with the sidecars before it; then `spec.resources` in place of that, for the resources that can
    be given for a pod; then `spec.overhead` on top.
    """
    found = _of_containers(spec)
    for name, amount in _of_the_pod(spec, found).items():
        found[name] = Effective(amount, "spec.resources")
    for name, extra in _quantities(spec.overhead or {}).items():
        base = found.get(name, Effective(ZERO, "")).amount
        why = f"{found[name].decided_by}, and spec.overhead" if name in found else "spec.overhead"
        found[name] = Effective(base + extra, why)
    return found


def _of_containers(spec: PodSpec) -> dict[str, Effective]:
    """`AggregateContainerRequests`."""
    sidecars: dict[str, Quantity] = {}
    moments: list[tuple[str, dict[str, Quantity]]] = []
    for init in spec.init_containers:
        if init.name in spec.sidecars:
            sidecars = _sum((sidecars, _requests(init)))
        else:
            so_far = "with the sidecars before it" if sidecars else "alone"
            moments.append((f"while {init.name} runs, {so_far}", _sum((sidecars, _requests(init)))))
    mains = _sum((sidecars, *map(_requests, spec.containers)))
    together = "the mains and sidecars together" if sidecars else "the mains together"
    found: dict[str, Effective] = {}
    for moment, amounts in ((together, mains), *moments):
        for name, amount in amounts.items():
            if name not in found or amount > found[name].amount:
                found[name] = Effective(amount, moment)
    return found


def _of_the_pod(spec: PodSpec, of_containers: Mapping[str, Effective]) -> dict[str, Quantity]:
    """KEP-2837: a limit of the pod is its request where nothing else says one (`setDefaultPodRequests`)."""
    if spec.resources is None:
        return {}
    limits, requests = _quantities(spec.resources.limits), _quantities(spec.resources.requests)
    defaults = {name: limit for name, limit in limits.items() if name not in of_containers}
    given = {**defaults, **requests}
    return {name: amount for name, amount in given.items() if _can_be_given_for_a_pod(name)}


def _can_be_given_for_a_pod(name: str) -> bool:
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def _requests(container: Container) -> dict[str, Quantity]:
    """DEF-2: a limit is the request, where there is none."""
    return _quantities({**container.resources.limits, **container.resources.requests})


def _quantities(amounts: Mapping[str, IntOrString | float]) -> dict[str, Quantity]:
    return {name: parse_quantity(amount) for name, amount in amounts.items()}


def _sum(parts: Iterable[Mapping[str, Quantity]]) -> dict[str, Quantity]:
    total: dict[str, Quantity] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, ZERO) + amount
    return total


def amount_text(name: str, amount: Quantity) -> str:
    """As people write it: `250m` and `2` of cpu, `300Mi` of what is counted in bytes, else a plain number."""
    if name == "cpu":
        return str(amount.milli // 1000) if amount.milli % 1000 == 0 else f"{amount.milli}m"
    units = amount.units
    if name not in ("memory", "ephemeral-storage") and not name.startswith("hugepages-"):
        return str(units)
    suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
    while units and units % 1024 == 0 and len(suffixes) > 1:
        units //= 1024
        suffixes.pop(0)
    return f"{units}{suffixes[0]}"
