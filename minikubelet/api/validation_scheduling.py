"""Refuses what the API server would refuse in the fields for the scheduler.

They have no effect here, but a manifest that is tried out here is meant for a cluster in the end, and a
fault in it is better known now. Takes plain data, since nobody else looks into these fields.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from minikubelet.api.pod import PodSpec
from minikubelet.api.rules import (
    Complaints,
    duplicate,
    each,
    forbidden,
    invalid,
    label_value,
    one_of,
    qualified_name,
    required,
)

Data = Mapping[str, Any]


def validate_scheduling(spec: PodSpec, path: str) -> Complaints:
    for index, toleration in enumerate(_items(spec.tolerations)):
        yield from _validate_toleration(toleration, f"{path}.tolerations[{index}]")
    affinity = _object(spec.affinity)
    if affinity:
        yield from _validate_node_affinity(
            _object(affinity.get("nodeAffinity")), f"{path}.affinity.nodeAffinity"
        )
        for kind in ("podAffinity", "podAntiAffinity"):
            yield from _validate_pod_affinity(_object(affinity.get(kind)), f"{path}.affinity.{kind}")
    for index, constraint in enumerate(_items(spec.topology_spread_constraints)):
        yield from _validate_spread(constraint, f"{path}.topologySpreadConstraints[{index}]")
    gates: set[str] = set()
    for index, gate in enumerate(_items(spec.scheduling_gates)):
        where = f"{path}.schedulingGates[{index}]"
        yield from each((where, qualified_name(gate["name"])))
        if gate["name"] in gates:
            yield where, duplicate(gate["name"])
        gates.add(gate["name"])
    if spec.preemption_policy:
        yield from one_of(
            f"{path}.preemptionPolicy", spec.preemption_policy, ("Never", "PreemptLowerPriority")
        )


def _items(data: Any) -> Sequence[Data]:
    return data or ()


def _object(data: Any) -> Data:
    return data or {}


# ------------------------------------------------------------------ tolerations

_EFFECTS = ("NoExecute", "NoSchedule", "PreferNoSchedule")


def _validate_toleration(toleration: Data, path: str) -> Complaints:
    key, operator = toleration.get("key", ""), toleration.get("operator", "")
    value, effect = toleration.get("value", ""), toleration.get("effect", "")
    if key:
        yield from each((f"{path}.key", qualified_name(key)))
    elif operator != "Exists":
        why = "operator must be Exists when `key` is empty, which means 'match all values and all keys'"
        yield f"{path}.operator", invalid(operator, why)
    if "tolerationSeconds" in toleration and effect != "NoExecute":
        why = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        yield f"{path}.effect", invalid(effect, why)
    if operator:  # Lt and Gt compare numbers; they need a feature gate
        yield from one_of(f"{path}.operator", operator, ("Equal", "Exists", "Gt", "Lt"))
    if operator == "Exists" and value:
        yield f"{path}.operator", invalid(value, "value must be empty when `operator` is 'Exists'")
    if operator in ("", "Equal"):
        yield from each((f"{path}.value", label_value(value)))
    if effect:
        yield from one_of(f"{path}.effect", effect, _EFFECTS)


# ------------------------------------------------------------------ affinity


def _validate_node_affinity(affinity: Data, path: str) -> Complaints:
    needed = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if needed is not None:
        where = f"{path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        if not needed["nodeSelectorTerms"]:
            yield where, required("must have at least one node selector term")
        for index, term in enumerate(needed["nodeSelectorTerms"]):
            yield from _validate_node_term(term, f"{where}[{index}]")
    for index, one in enumerate(_items(affinity.get("preferredDuringSchedulingIgnoredDuringExecution"))):
        where = f"{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        yield from _validate_weight(one, where)
        yield from _validate_node_term(one["preference"], f"{where}.preference")


def _validate_node_term(term: Data, path: str) -> Complaints:
    for field in ("matchExpressions", "matchFields"):
        for index, one in enumerate(_items(term.get(field))):
            yield from _validate_expression(one, f"{path}.{field}[{index}]", (*_SET_OPERATORS, "Gt", "Lt"))


def _validate_weight(one: Data, path: str) -> Complaints:
    if not 1 <= one["weight"] <= 100:
        yield f"{path}.weight", invalid(one["weight"], "must be in the range 1-100")


def _validate_pod_affinity(affinity: Data, path: str) -> Complaints:
    for index, term in enumerate(_items(affinity.get("requiredDuringSchedulingIgnoredDuringExecution"))):
        where = f"{path}.requiredDuringSchedulingIgnoredDuringExecution[{index}]"
        yield from _validate_pod_term(term, where)
    for index, one in enumerate(_items(affinity.get("preferredDuringSchedulingIgnoredDuringExecution"))):
        where = f"{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        yield from _validate_weight(one, where)
        yield from _validate_pod_term(one["podAffinityTerm"], f"{where}.podAffinityTerm")


def _validate_pod_term(term: Data, path: str) -> Complaints:
    yield from _validate_topology_key(term, path)
    yield from validate_selector_form(_object(term.get("labelSelector")), f"{path}.labelSelector")
    yield from validate_selector_form(_object(term.get("namespaceSelector")), f"{path}.namespaceSelector")


def _validate_topology_key(term: Data, path: str) -> Complaints:
    key = term["topologyKey"]
    yield from each((f"{path}.topologyKey", qualified_name(key) if key else required("can not be empty")))


def _validate_spread(constraint: Data, path: str) -> Complaints:
    if constraint["maxSkew"] <= 0:
        yield f"{path}.maxSkew", invalid(constraint["maxSkew"], "must be greater than zero")
    yield from _validate_topology_key(constraint, path)
    yield from one_of(
        f"{path}.whenUnsatisfiable", constraint["whenUnsatisfiable"], ("DoNotSchedule", "ScheduleAnyway")
    )
    domains = constraint.get("minDomains")
    if domains is not None and domains <= 0:
        yield f"{path}.minDomains", invalid(domains, "must be greater than zero")
    if domains is not None and constraint["whenUnsatisfiable"] != "DoNotSchedule":
        why = "can only use minDomains if whenUnsatisfiable=DoNotSchedule"
        yield f"{path}.minDomains", invalid(domains, why)
    yield from validate_selector_form(_object(constraint.get("labelSelector")), f"{path}.labelSelector")


# ------------------------------------------------------------------ label selectors


def validate_selector_form(selector: Data, path: str) -> Complaints:
    """Whether a labelSelector could select anything; `selector` is plain data."""
    for key, value in _object(selector.get("matchLabels")).items():
        yield from each(
            (f"{path}.matchLabels[{key}]", qualified_name(key)),
            (f"{path}.matchLabels[{key}]", label_value(value)),
        )
    for index, one in enumerate(_items(selector.get("matchExpressions"))):
        yield from _validate_expression(one, f"{path}.matchExpressions[{index}]", _SET_OPERATORS)


_SET_OPERATORS = ("DoesNotExist", "Exists", "In", "NotIn")


def _validate_expression(one: Data, path: str, supported: Sequence[str]) -> Complaints:
    """A requirement of a label selector or of a node selector."""
    operator, values = one["operator"], one.get("values") or ()
    yield from each((f"{path}.key", qualified_name(one["key"])))
    yield from one_of(f"{path}.operator", operator, supported)
    if operator in ("In", "NotIn") and not values:
        yield f"{path}.values", required("must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist") and values:
        why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
        yield f"{path}.values", forbidden(why)
    elif operator in ("Gt", "Lt") and len(values) != 1:
        yield f"{path}.values", required("must be specified single value when `operator` is 'Lt' or 'Gt'")
