"""Events as the API publishes them (EVENT-*): what happened, to which object, when."""

from typing import Any, Literal

from minikubelet.api.meta import format_micro_time, format_time
from minikubelet.api.values import derived, frozen

EventType = Literal["Normal", "Warning"]


@frozen
class ObjectReference:
    kind: str
    namespace: str
    name: str
    uid: str
    api_version: str = "v1"
    field_path: str | None = None
    "EVENT-6: `spec.containers{NAME}`; None for events about the whole object."

    @derived
    def container(self) -> str | None:
        """EVENT-6: the container that it is about, None if it is about the whole object."""
        path = self.field_path
        return path[path.index("{") + 1 : -1] if path and "{" in path else None


@frozen
class Event:
    type: EventType
    reason: str
    message: str
    involved_object: ObjectReference
    wall_time: float
    "Seconds since the Unix epoch."
    monotonic_time: float
    "Seconds on the runtime's clock, for distances between events."
    count: int = 1
    "EVENT-7: how often this (object, reason, message) has come so far, this time included."
    first_wall_time: float | None = None

    def as_wire(self, sequence: int) -> dict[str, Any]:
        """A v1 Event object with two additions: `sequence` and `monotonicSeconds`."""
        ref = self.involved_object
        reference = {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            "uid": ref.uid,
        }
        if ref.field_path:
            reference["fieldPath"] = ref.field_path
        first = self.first_wall_time if self.first_wall_time is not None else self.wall_time
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{ref.name}.{sequence:x}", "namespace": ref.namespace},
            "involvedObject": reference,
            "type": self.type,
            "reason": self.reason,
            "message": self.message,
            "count": self.count,
            "firstTimestamp": format_time(first),
            "lastTimestamp": format_time(self.wall_time),
            "eventTime": format_micro_time(self.wall_time),
            "source": {"component": "minikubelet"},
            "reportingComponent": "minikubelet",
            "sequence": sequence,
            "monotonicSeconds": round(self.monotonic_time, 6),
        }
