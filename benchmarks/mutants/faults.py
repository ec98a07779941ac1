"""The faults of `faults.yaml`, and how one of them is put into a copy of the package."""

import shutil
from pathlib import Path

import attrs
import yaml

import minikubelet

PACKAGE = Path(minikubelet.__file__).parent
LIST = Path(__file__).with_name("faults.yaml")


@attrs.frozen
class Patch:
    file: str
    "Below the package."
    old: str
    new: str

    def apply(self, package: Path) -> None:
        """Raises ValueError if the text to be replaced is not there exactly once."""
        path = package / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} has {text.count(self.old)} times: {self.old}")
        path.write_text(text.replace(self.old, self.new))


@attrs.frozen
class Fault:
    name: str
    what: str
    patches: tuple[Patch, ...]
    after: str = ""
    "Where such a fault has really been."

    def make_copy(self, directory: Path) -> Path:
        """A copy of the package with this fault, below `directory`, which is to be imported from."""
        copy = directory / "minikubelet"
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for patch in self.patches:
            patch.apply(copy)
        return directory


def faults() -> list[Fault]:
    return [
        Fault(
            name=entry["name"],
            what=entry["what"],
            patches=tuple(
                Patch(patch["file"], patch["old"], patch["new"]) for patch in (entry, *entry.get("also", ()))
            ),
            after=entry.get("after", ""),
        )
        for entry in yaml.safe_load(LIST.read_text())
    ]
