"""What is wrong with a manifest, and where."""

from collections.abc import Mapping, Sequence

import attrs

from minikubelet.api.values import frozen


@attrs.frozen(order=True)
class FieldError:
    """One fault of the input. `line` and `column` count from 1; 0 where no place is known."""

    file: str
    line: int
    column: int
    object: str
    "`Pod default/web`, as far as it is known; empty for faults of the file itself."
    path: str
    "`spec.initContainers[0].restartPolicy`; empty for faults of the file itself."
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (place, self.object, self.path, self.message) if part)


class ManifestError(Exception):
    """The input cannot be run; carries every fault that was found, once, in the order of the files."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(dict.fromkeys(errors))
        super().__init__("\n".join(map(str, self.errors)))


@frozen
class Notice:
    """Something to know about the input that keeps nothing from running."""

    message: str
    objects: tuple[str, ...] = ()
    "The objects it is about, `Pod default/web`, in the order of the files."

    def __str__(self) -> str:
        return f"{self.subjects}: {self.message}" if self.objects else self.message

    @property
    def subjects(self) -> str:
        """The objects, in as much as a line can hold."""
        shown = ", ".join(self.objects[:3])
        return f"{shown} and {len(self.objects) - 3} more" if len(self.objects) > 3 else shown


@frozen
class Origin:
    """Where an object came from, so that later stages can complain about a field of it by place."""

    file: str
    object: str
    "`Deployment default/web`: the object in the file, not the pod made from it."
    prefix: str = ""
    "Field path of the pod inside that object: `spec.template.` for templates, empty for a Pod."
    positions: Mapping[str, tuple[int, int]] = attrs.field(factory=dict, repr=False)
    "Field path in the object to (line, column)."

    def error(self, path: str, message: str) -> FieldError:
        """A fault at `path`, which is relative to the pod (`spec.containers[0].command`)."""
        full = self.prefix + path
        place = full
        while place and place not in self.positions:  # the field itself may be the missing one
            cut = max(place.rfind("."), place.rfind("["))
            place = place[:cut] if cut > 0 else ""
        line, column = self.positions.get(place, (0, 0))
        return FieldError(self.file, line, column, self.object, full, message)
