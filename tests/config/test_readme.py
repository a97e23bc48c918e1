"""The README's list of settings is the code's."""

from pathlib import Path

import yaml

from proxy.config import Settings

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_lists_every_setting_with_its_default() -> None:
    block = README.read_text().partition("```yaml\n")[2].partition("```")[0]

    assert yaml.safe_load(block) == Settings().model_dump(mode="json")
