"""A release: its version and notes, and that the workflow does what a checkout can do by itself."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / ".ci/release.py"
RELEASE = runpy.run_path(str(SCRIPT))
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
JOBS = WORKFLOW["jobs"]

CODE = '"""A docstring."""\n\n__version__ = "1.2.3"\n'
CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.3] - 2031-05-07

### Added

- This.

## [1.2.2] - 2031-05-01

- That.
"""


def commands() -> list[str]:
    """The lines that the workflow has a shell run."""
    steps = [step for job in JOBS.values() for step in job.get("steps", [])]
    return [line for step in steps for line in step.get("run", "").splitlines()]


def test_the_version_is_the_tags() -> None:
    assert RELEASE["version_of"]("v1.2.3", CODE) == "1.2.3"


@pytest.mark.parametrize(
    ("tag", "code", "why"),
    [
        ("1.2.3", CODE, "the tag 1.2.3 is no version: name it like v1.2.3"),
        ("v1.2", CODE, "the tag v1.2 is no version"),
        ("v1.2.3rc1", CODE, "the tag v1.2.3rc1 is no version"),
        ("v1.2.4", CODE, r"the tag v1.2.4 is not what proxy/__init__.py says \(1.2.3\): change one of them"),
        ("v1.2.3", "", r"is not what proxy/__init__.py says \(nothing\)"),
    ],
)
def test_a_tag_that_is_not_the_codes_version_releases_nothing(tag: str, code: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^.*{why}"):
        RELEASE["version_of"](tag, code)


def test_the_notes_are_that_versions_part_of_the_changelog() -> None:
    assert RELEASE["notes_of"]("1.2.3", CHANGELOG) == "### Added\n\n- This.\n"
    assert RELEASE["notes_of"]("1.2.2", CHANGELOG) == "- That.\n"


@pytest.mark.parametrize("version", ["1.2.4", "Unreleased"])
def test_a_version_of_which_the_changelog_says_nothing_is_not_released(version: str) -> None:
    with pytest.raises(ValueError, match=rf"CHANGELOG.md says nothing of {version}: give it a part ## \[{version}\]"):
        RELEASE["notes_of"](version, CHANGELOG)


def test_the_changelog_of_this_checkout_can_be_read() -> None:
    assert RELEASE["notes_of"]("Unreleased", (ROOT / "CHANGELOG.md").read_text()).startswith("###")


def test_what_is_wrong_is_told_in_a_line() -> None:
    for words in (["version", "x"], ["try", "none.whl", "more"], []):
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, SCRIPT, *words], capture_output=True, text=True, timeout=30, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(r"release\.py: .+\n", done.stderr)


def test_a_demo_that_does_not_begin_is_told(tmp_path: Path) -> None:
    program = tmp_path / "hermes-stream-guard"
    program.write_text("#!/bin/sh\necho it is broken >&2\n")
    program.chmod(0o700)
    with pytest.raises(ValueError, match="the demo did not say where its page is"):
        RELEASE["_run_demo"](program)


# -- the workflow ---------------------------------------------------------------------------------


def test_nothing_is_published_before_the_tests_have_passed() -> None:
    assert JOBS["test"]["uses"] == "./.github/workflows/ci.yml"
    calls = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert "workflow_call" in calls[True], "YAML takes the word on for true"
    for name in ("pypi", "image"):
        assert set(JOBS[name]["needs"]) == {"test", "package"}
    assert set(JOBS["notes"]["needs"]) == {"pypi", "image"}


def test_each_job_may_do_what_it_has_to_and_no_more() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert {name: job.get("permissions") for name, job in JOBS.items()} == {
        "test": None,
        "package": None,
        "pypi": {"id-token": "write"},
        "image": {"contents": "read", "packages": "write"},
        "notes": {"contents": "write"},
    }


def test_every_job_has_a_limit() -> None:
    assert [name for name, job in JOBS.items() if "steps" in job and "timeout-minutes" not in job] == []


def test_the_image_is_the_dockerfiles_for_both_processors_and_says_what_it_is_made_of() -> None:
    (build,) = [step["with"] for step in JOBS["image"]["steps"] if "build-push-action" in step.get("uses", "")]
    assert (ROOT / build["file"]).exists()
    assert set(build["platforms"].split(",")) == {"linux/amd64", "linux/arm64"}
    assert (build["push"], build["sbom"], build["provenance"]) == (True, True, "mode=max")


def test_a_checkout_can_do_what_the_workflow_does() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (dry_run,) = re.findall(r"^release-dry-run: package +##.*\n((?:\t.*\n)+)", makefile, flags=re.MULTILINE)
    assert [line for line in commands() if line.startswith("make ")] == ["make package"]
    asked = {found[1] for line in commands() if (found := re.match(r"python \.ci/release\.py (\w+) ", line))}
    assert asked == {"version", "notes"}
    assert [word for word in asked if f".ci/release.py {word} $(TAG)" not in dry_run] == []
    assert "tests/deploy/test_image.py" in dry_run


def test_ci_builds_the_package_too() -> None:
    assert re.search(r"^make package$", (ROOT / ".ci/run").read_text(), re.MULTILINE)


def test_actions_are_of_a_release() -> None:
    used = [step["uses"] for job in JOBS.values() for step in job.get("steps", []) if "uses" in step]
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", name) for name in used)
