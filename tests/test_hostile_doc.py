"""docs/HOSTILE.md names tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_test_that_the_document_names_is_there() -> None:
    named = re.findall(r"`(?:([a-z_/]+):)?(test_\w+)`", (ROOT / "docs" / "HOSTILE.md").read_text())
    sources = {file: file.read_text() for file in (ROOT / "tests").rglob("test_*.py")}
    missing = [
        name
        for module, name in named
        if not any(
            f"def {name}(" in text
            for file, text in sources.items()
            if str(file).endswith(f"{module or 'test_hostile_manifests'}.py")
        )
    ]

    assert len(named) > 25
    assert missing == []
