#!/usr/bin/env python3
"""Derives `minikubelet/api/schema_table.py` from the API definitions in the package kubernetes-validate.

Field names, types, required fields and the keys of lists are facts about the API; that is all this takes.
Descriptions are left behind. Run it with kubernetes-validate installed when a new Kubernetes comes out:

    pip install kubernetes-validate && python scripts/derive_schema.py

`--check` writes nothing and exits with 1 if the table in the repository is not what would be written.
The form of the table is told at the top of the file that it writes.
"""

import argparse
import importlib.util
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "minikubelet" / "api" / "schema_table.py"

ROOTS = (
    ("core", "Pod"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("core", "ReplicationController"),
    ("core", "ConfigMap"),
    ("core", "Secret"),
    ("core", "Service"),
)

HEADER = '''\
"""The Kubernetes API as far as minikubelet reads it: fields, types, list keys. Generated, do not edit.

Made by `scripts/derive_schema.py` from the definitions of Kubernetes {version}. One line of text per type:
`field:type` separated by spaces. A `!` after the name marks a field that the API requires. Types:

    s string          i integer, 32 bits     l integer, 64 bits    b boolean
    t RFC 3339 time   y base64 bytes         q quantity            p integer or string
    j any JSON        [T] list of T          {{T}} map of string to T
    [T]@a,b list of T, whose items are told apart by the fields a and b
    Name              the type of that name below

`schema` reads this; nothing else should.
"""

VERSION = "{version}"

KINDS = {{
{kinds}
}}
"Kind to its apiVersion."

TYPES = {{
{types}
}}
'''

SCALARS = {
    ("string", None): "s",
    ("string", "date-time"): "t",
    ("string", "byte"): "y",
    ("integer", "int32"): "i",
    ("integer", "int64"): "l",
    ("boolean", None): "b",
}


def newest_definitions() -> tuple[str, dict[str, Any]]:
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        sys.exit("kubernetes-validate is not installed")
    folders = Path(spec.origin).parent.glob("kubernetes-json-schema/v*-local")
    newest = max(folders, key=lambda folder: [int(n) for n in re.findall(r"\d+", folder.name)])
    text = (newest / "_definitions.json").read_text(encoding="utf-8")
    return newest.name.removesuffix("-local").removeprefix("v"), json.loads(text)["$defs"]


class Table:
    def __init__(self, definitions: dict[str, Any]) -> None:
        self.definitions = definitions
        self.types: dict[str, str] = {}
        self.origins: dict[str, str] = {}

    def type_of(self, value: dict[str, Any]) -> str:
        if "$ref" in value:
            return self.named(value["$ref"].rsplit("/", 1)[-1])
        kind: Any = value.get("type")
        if isinstance(kind, list):  # ["string", "null"]: a null counts as absent
            kind = kind[0]
        if kind == "array":
            keys = value.get("x-kubernetes-list-map-keys")
            return f"[{self.type_of(value['items'])}]" + (f"@{','.join(keys)}" if keys else "")
        if kind == "object":
            return f"{{{self.type_of(value['additionalProperties'])}}}"
        return SCALARS[kind, value.get("format")]

    def named(self, full_name: str) -> str:
        short = full_name.rsplit(".", 1)[-1]
        definition = self.definitions[full_name]
        if short in ("Quantity", "IntOrString"):
            return {"Quantity": "q", "IntOrString": "p"}[short]
        if short == "FieldsV1":
            return "j"
        if "properties" not in definition and definition.get("type", ["object"])[0] != "object":
            return self.type_of(definition)
        if self.origins.setdefault(short, full_name) != full_name:
            sys.exit(f"two types are called {short}: {self.origins[short]} and {full_name}")
        if short not in self.types:
            self.types[short] = ""  # reserves its place: types may contain themselves
            required = definition.get("required", ())
            self.types[short] = " ".join(
                f"{name}{'!' if name in required else ''}:{self.type_of(value)}"
                for name, value in definition.get("properties", {}).items()
            )
        return short


def literal(name: str, text: str) -> str:
    line = f'    "{name}": "{text}",'
    if len(line) <= 110:
        return line
    *lines, last = textwrap.wrap(text, 98, break_long_words=False, break_on_hyphens=False)
    body = "".join(f'        "{line} "\n' for line in lines)
    return f'    "{name}": (\n{body}        "{last}"\n    ),'


def render() -> str:
    version, definitions = newest_definitions()
    table = Table(definitions)
    kinds = []
    for group, kind in ROOTS:
        full_name = f"io.k8s.api.{group}.v1.{kind}"
        table.named(full_name)
        (gvk,) = definitions[full_name]["x-kubernetes-group-version-kind"]
        api_version = f"{gvk['group']}/{gvk['version']}" if gvk["group"] else gvk["version"]
        kinds.append(f'    "{kind}": "{api_version}",')
    table.named("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta")
    types = [literal(name, text) for name, text in sorted(table.types.items())]
    return HEADER.format(version=version, kinds="\n".join(kinds), types="\n".join(types))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    arguments = parser.parse_args()
    text = render()
    if arguments.check:
        return 0 if TARGET.read_text(encoding="utf-8") == text else 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
