"""Reads an images file: a YAML mapping from image patterns to what such an image starts.

    postgres:*:
      entrypoint: [./run-postgres.sh]    # relative to this file, as are workingDir and pathPrefix
      cmd: [postgres]
      env: {PGDATA: pgdata}
      user: postgres                     # name, uid, or name:group
    alpine:
      pathPrefix: ./bin                  # in front of PATH

Every scalar is taken as it is written, so that `user: 999:999` and `cmd: [sleep, 10]` mean what they say.
Kept apart from `images`, since most runs have no such file.
"""

import os

from minikubelet.api.errors import FieldError
from minikubelet.api.nodes import MappingNode, Node, ScalarNode, SequenceNode, SyntaxFault, parse
from minikubelet.api.values import evolve, frozen
from minikubelet.runtime.well_known_images import ImageConfig

FIELDS = ("entrypoint", "cmd", "env", "workingDir", "user", "pathPrefix")


def read_images_file(file: str, errors: list[FieldError]) -> tuple[tuple[str, ImageConfig], ...]:
    """The patterns and what they mean, in the order written; faults are added to `errors`."""
    try:
        with open(file, encoding="utf-8") as stream:
            text = stream.read()
    except OSError as error:
        errors.append(FieldError(file, 0, 0, "", "", f"cannot be read: {error.strerror}"))
        return ()
    except UnicodeDecodeError as error:
        errors.append(FieldError(file, 0, 0, "", "", f"is not UTF-8: {error.reason}"))
        return ()
    reader = _Reader(file, errors)
    entries: list[tuple[str, ImageConfig]] = []
    for number, root in enumerate(parse(text)):
        if isinstance(root, SyntaxFault):
            errors.append(FieldError(file, root.line, root.column, "", "", root.message))
        elif number:
            reader.fault(root, "", "expected one document, but found another document")
        else:
            entries += (
                (pattern, reader.config(node, pattern)) for pattern, _, node in reader.mapping(root, "")
            )
    return tuple(entries)


@frozen
class _Reader:
    file: str
    errors: list[FieldError]

    def config(self, node: Node, path: str) -> ImageConfig:
        config = ImageConfig()
        for name, key, value in self.mapping(node, path):
            place = f"{path}.{name}"
            match name:
                case "entrypoint":
                    config = evolve(config, entrypoint=self.command(value, place))
                case "cmd":
                    config = evolve(config, cmd=self.words(value, place))
                case "env":
                    config = evolve(config, env=self.env(value, place))
                case "workingDir":
                    config = evolve(config, working_dir=self.absolute(self.text(value, place)))
                case "user":
                    config = evolve(config, user=self.text(value, place))
                case "pathPrefix":
                    one = isinstance(value, ScalarNode)
                    directories = (self.text(value, place),) if one else self.words(value, place)
                    config = evolve(config, path_prefix=tuple(map(self.absolute, directories)))
                case _:
                    self.fault(key, place, _unknown_field(name))
        if config.cmd and not config.entrypoint:  # then the cmd is what names the program
            config = evolve(config, cmd=self.located(config.cmd))
        return config

    def command(self, node: Node, path: str) -> tuple[str, ...]:
        return self.located(self.words(node, path))

    def located(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """A program named with a slash is meant relative to this file; a bare name is left to PATH."""
        return (self.absolute(words[0]), *words[1:]) if words and "/" in words[0] else words

    def absolute(self, path: str) -> str:
        return os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(self.file)), path))

    def env(self, node: Node, path: str) -> dict[str, str]:
        variables: dict[str, str] = {}
        for name, key, value in self.mapping(node, path):
            if not name or "=" in name:
                self.fault(key, f"{path}.{name}", "is not the name of a variable")
            variables[name] = self.text(value, f"{path}.{name}")
        return variables

    def mapping(self, node: Node, path: str) -> list[tuple[str, Node, Node]]:
        """Key as text, its node and the value's."""
        if not isinstance(node, MappingNode):
            self.fault(node, path, f"expected a mapping{'' if path else ' of image patterns'}")
            return []
        pairs: dict[str, tuple[str, Node, Node]] = {}
        for key, value in node.pairs:
            name = self.text(key, path)
            if name in pairs:
                self.fault(key, f"{path}.{name}".lstrip("."), "is given twice")
            pairs[name] = name, key, value
        return list(pairs.values())

    def words(self, node: Node, path: str) -> tuple[str, ...]:
        if not isinstance(node, SequenceNode):
            self.fault(node, path, "expected a list of words, such as [redis-server, --port, 7000]")
            return ()
        return tuple(self.text(item, f"{path}[{index}]") for index, item in enumerate(node.items))

    def text(self, node: Node, path: str) -> str:
        if not isinstance(node, ScalarNode):
            self.fault(node, path, "expected a string")
            return ""
        return node.text

    def fault(self, node: Node, path: str, message: str) -> None:
        self.errors.append(FieldError(self.file, node.line, node.column, "", path, message))


def _unknown_field(name: str) -> str:
    from difflib import get_close_matches

    known = {field.lower(): field for field in FIELDS}
    near = get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {known[near[0]]}?" if near else f"known are {', '.join(FIELDS)}"
    return f"unknown field, {hint}"
