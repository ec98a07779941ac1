"""docs/FIELDS.md is true: it says of each field what `validate --fields` says."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import fields_table  # noqa: E402

from minikubelet.api import schema  # noqa: E402


def test_the_table_in_the_repository_is_the_one_that_is_generated():
    """If not: `python scripts/fields_table.py`."""
    assert fields_table.TARGET.read_text() == fields_table.render(fields_table.types())


def test_every_field_of_pods_jobs_and_templates_has_its_line():
    table = fields_table.render(fields_table.types())

    for name in ("Pod", "PodSpec", "Container", "Probe", "Job", "JobSpec", "PodTemplateSpec"):
        section = table.split(f"\n## {name}", 1)[1].split("\n## ", 1)[0]
        for field in schema.fields(name):
            assert f"\n| {field} |" in section or f"\n| {field}! |" in section, f"{name}.{field}"


def test_no_type_comes_twice():
    names = fields_table.types()

    assert len(names) == len(set(names))
