"""The folder itself: nothing in it is untested, unexplained or, where it came from an article, changed."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from spec_run import SPECS

MANIFESTS = sorted(path for path in SPECS.glob("*.yaml") if path.name != "images.yaml")
ARTICLES = {
    "native-sidecar-job.yaml": "9f73ddf80202df1d2eb5ce926f588f68843be6277736f907549e63870d06d964",
    "cy-job.yaml": "4ac63f526c8408a46120ada70c38fbed6fcf97c6016bee3bfdf238aeb488eb4f",
}


@pytest.mark.parametrize("name", ARTICLES)
def test_an_article_s_manifest_is_unchanged(name: str) -> None:
    assert hashlib.sha256((SPECS / name).read_bytes()).hexdigest() == ARTICLES[name]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_every_manifest_is_run_by_a_test(manifest: Path) -> None:
    tests = "".join(
        path.read_text() for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)
    )

    assert f'"{manifest.name}"' in tests


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_every_manifest_says_what_it_shows(manifest: Path) -> None:
    """First a comment that says what to watch for, which rule that is, and how to run it."""
    comment = "".join(re.match(r"(#.*\n)*", manifest.read_text())[0])  # type: ignore[index]

    assert manifest.name in ARTICLES or (
        "# Watch for: " in comment
        and re.search(r"\b[A-Z]+-\d+\b", comment)
        and re.search(rf"#     minikubelet run (\S+ )*specs/{re.escape(manifest.name)}\n", comment)
    )


def test_every_manifest_is_valid() -> None:
    """The whole folder can be given at once; the images file in it is no manifest."""
    command = [sys.executable, "-m", "minikubelet", "validate", str(SPECS)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr


def test_only_the_manifests_that_mean_it_name_an_image_of_the_images_file() -> None:
    """An entry meant for the article's job must not change another example by accident."""
    entries = [pattern.partition(":")[0] for pattern in yaml.safe_load((SPECS / "images.yaml").read_text())]
    users = {
        path.name
        for path in MANIFESTS
        for entry in entries
        if re.search(rf"image: {entry}\b", path.read_text())
    }

    assert users == {"cy-job.yaml", "cy-job-sidecar-as-init.yaml", "cy-job-sidecar-as-container.yaml"}


def test_the_failing_variants_differ_from_the_article_by_the_sidecar_alone() -> None:
    def template(name: str) -> Any:
        return yaml.safe_load((SPECS / name).read_text())["spec"]["template"]["spec"]

    right = template("cy-job.yaml")
    (main,), (sidecar,) = right["containers"], right["initContainers"]
    assert sidecar.pop("restartPolicy") == "Always"

    assert template("cy-job-sidecar-as-init.yaml") == right
    both = {"restartPolicy": "Never", "containers": [main, sidecar]}
    assert template("cy-job-sidecar-as-container.yaml") == both
