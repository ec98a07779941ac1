"""What is wrong with a manifest, and where."""

from collections.abc import Mapping, Sequence

from minikubelet.api.values import field, frozen


def shown(text: str, limit: int = 300) -> str:
    """Text out of a manifest as a terminal may see it: in one line, of that many characters at most."""
    if len(text) > limit:
        text = f"{text[: limit - 20]}...{text[-17:]}"
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


@frozen(order=True)
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
        first, *advice = self.message.split("\n")
        parts = (place, shown(self.object), shown(self.path), shown(first, 1000))
        return "\n".join([": ".join(part for part in parts if part), *advice])


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
        message = shown(self.message, 1000)
        return f"{self.subjects}: {message}" if self.objects else message

    @property
    def subjects(self) -> str:
        """The objects, in as much as a line can hold."""
        first = ", ".join(map(shown, self.objects[:3]))
        return f"{first} and {len(self.objects) - 3} more" if len(self.objects) > 3 else first


@frozen
class Origin:
    """Where an object came from, so that later stages can complain about a field of it by place."""

    file: str
    object: str
    "`Deployment default/web`: the object in the file, not the pod made from it."
    prefix: str = ""
    "Field path of the pod inside that object: `spec.template.` for templates, empty for a Pod."
    positions: Mapping[str, tuple[int, int]] = field(factory=dict, repr=False)
    "Field path in the object to (line, column)."

    def error(self, path: str, message: str) -> FieldError:
        """A fault at `path`, which is relative to the pod (`spec.containers[0].command`)."""
        full = self.prefix + path
        place = full[:_LONGEST_PLACE]
        while place and place not in self.positions:  # the field itself may be the missing one
            cut = max(place.rfind("."), place.rfind("["))
            place = place[:cut] if cut > 0 else ""
        line, column = self.positions.get(place, (0, 0))
        return FieldError(self.file, line, column, self.object, full, message)


_LONGEST_PLACE = 1000
"Characters of a path that are looked at; a field is found far before, whatever the keys below it."
