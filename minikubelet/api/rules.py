"""The forms that names and values must have, and the words in which the API server says so.

Each form is a function from a value to what is wrong with it, or None. `validation` applies them.
"""

from collections.abc import Collection, Iterator

from minikubelet.api.check import quoted
from minikubelet.api.patterns import pattern

Complaint = tuple[str, str]
"Field path and message."
Complaints = Iterator[Complaint]

# ------------------------------------------------------------------ messages


def required(why: str = "") -> str:
    return f"Required value: {why}" if why else "Required value"


def invalid(value: object, why: str) -> str:
    shown = quoted(value) if isinstance(value, str) else str(value)
    return f"Invalid value: {shown}: {why}"


def unsupported(value: object, supported: Collection[str]) -> str:
    return (
        f"Unsupported value: {quoted(value)}: supported values: {', '.join(map(quoted, sorted(supported)))}"
    )


def forbidden(why: str) -> str:
    return f"Forbidden: {why}"


def duplicate(value: object) -> str:
    return f"Duplicate value: {quoted(value)}"


def not_found(value: object) -> str:
    return f"Not found: {quoted(value)}"


# ------------------------------------------------------------------ names

_LABEL = pattern(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = pattern(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED_PART = pattern(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PORT_NAME = pattern(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_CONFIG_KEY = pattern(r"[-._a-zA-Z0-9]+")
HEADER_NAME = pattern(r"[-A-Za-z0-9]+")
ENV_NAME = pattern(r"[ -<>-~]+")

_LABEL_FORM = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character"
)
_SUBDOMAIN_FORM = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
_QUALIFIED_FORM = (
    "must consist of alphanumeric characters, '-', '_' or '.', start and end with an alphanumeric character, "
    "and may have a DNS subdomain and '/' before it"
)


def dns_label(value: str) -> str | None:
    """What keeps text from being a DNS label, if anything does."""
    if len(value) > 63:
        return invalid(value, "must be no more than 63 characters")
    return None if _LABEL.fullmatch(value) else invalid(value, _LABEL_FORM)


def dns_subdomain(value: str) -> str | None:
    if len(value) > 253:
        return invalid(value, "must be no more than 253 characters")
    return None if _SUBDOMAIN.fullmatch(value) else invalid(value, _SUBDOMAIN_FORM)


def qualified_name(value: str) -> str | None:
    """A label or annotation key, a condition type: `name` or `example.com/name`."""
    prefix, slash, name = value.rpartition("/")
    if slash and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix)):
        return invalid(value, "what is before the '/' must be a lowercase DNS subdomain")
    if not _QUALIFIED_PART.fullmatch(name) or len(name) > 63:
        return invalid(value, _QUALIFIED_FORM)
    return None


def label_value(value: str) -> str | None:
    if len(value) <= 63 and (not value or _QUALIFIED_PART.fullmatch(value)):
        return None
    return invalid(
        value,
        "a label value has at most 63 characters: alphanumerics, '-', '_' and '.', "
        "starting and ending with an alphanumeric",
    )


def port_name(value: str) -> str | None:
    """An IANA service name (VALID-12)."""
    if not value:
        return required()
    if len(value) > 15:
        return invalid(value, "must be no more than 15 characters")
    if not _PORT_NAME.fullmatch(value) or "--" in value:
        return invalid(value, "must consist of lower case alphanumerics and single '-' between them")
    if not any(c.isalpha() for c in value):
        return invalid(value, "must contain at least one letter (a-z)")
    return None


def env_name(value: str) -> str | None:
    """ENV-12: any printable ASCII except '='."""
    if not value:
        return required()
    return None if ENV_NAME.fullmatch(value) else invalid(value, "must be printable ASCII without '='")


def config_key(value: str) -> str | None:
    if len(value) > 253:
        return invalid(value, "must be no more than 253 characters")
    if not _CONFIG_KEY.fullmatch(value) or value in (".", "..") or value.startswith(".."):
        return invalid(value, "a valid config key must consist of alphanumeric characters, '-', '_' or '.'")
    return None


def relative_path(value: str) -> str | None:
    if not value:
        return required()
    if value.startswith("/"):
        return invalid(value, "must be a relative path")
    return invalid(value, "must not contain '..'") if ".." in value.split("/") else None


def each(*found: tuple[str, str | None]) -> Complaints:
    """Those of the pairs that have a message."""
    for path, message in found:
        if message is not None:
            yield path, message


def at_least(minimum: int, path: str, value: int | None) -> Complaints:
    if value is not None and value < minimum:
        yield path, invalid(value, f"must be greater than or equal to {minimum}")


def one_of(path: str, value: str, supported: Collection[str]) -> Complaints:
    if value not in supported:
        yield path, unsupported(value, supported) if value else required()
