"""Documents are complete, current, and point at what exists."""

import inspect
import re
import shlex
from pathlib import Path

import pytest
import yaml

from cdc.cli.reference import DOCUMENTS, commands, parameters, stale
from cdc.config.models import Config
from cdc.core import errors

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
DECISIONS = sorted(ROOT.glob("docs/decisions/0*.md"))
COMMANDS = dict(commands())


def test_generated_documents_are_current() -> None:
    assert stale(ROOT) == [], "run `make docs`"
    assert set(DOCUMENTS) >= {"config/schema.json", "docs/configuration.md", "docs/cli.md", "docs/metrics.md"}


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_has_help(path: str) -> None:
    command = COMMANDS[path]
    assert (command.help or "").strip(), f"{path} has no help"
    for parameter in parameters(command):
        assert (getattr(parameter, "help", "") or "").strip(), f"{path}: {parameter.name} has no help"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


def test_the_configuration_in_the_readme_is_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        Config.model_validate(yaml.safe_load(block))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_documents_exist(page: Path) -> None:
    for line in re.findall(
        r"^(cdc [a-z].*)$", "\n".join(re.findall(r"```\n(.*?)```", page.read_text(), re.DOTALL)), re.MULTILINE
    ):
        words = shlex.split(line.partition("#")[0])
        known = max((path for path in COMMANDS if " ".join(words).startswith(path)), key=len, default=None)
        assert known, f"{page.name} shows {line!r}"
        options = {name for parameter in COMMANDS[known].params for name in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, f"{page.name} shows {line!r}"


def test_make_targets_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.MULTILINE)) <= targets, page.name


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_decisions_are_numbered_listed_and_have_the_three_parts(page: Path) -> None:
    number = DECISIONS.index(page) + 1
    text = page.read_text()
    assert page.name.startswith(f"{number:04d}-")
    assert text.startswith(f"# {number}. ")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert f"]({page.name})" in (ROOT / "docs" / "decisions" / "README.md").read_text()


_TREE = (errors.__doc__ or "").partition("\n\n")[2].partition("Anything else")[0]


def test_the_drawn_tree_of_errors_is_the_real_one() -> None:
    drawn = set(re.findall(r"^[│ ├└─]*([A-Z]\w+)", _TREE, re.MULTILINE))
    real = {name for name, item in vars(errors).items() if inspect.isclass(item) and issubclass(item, errors.CdcError)}
    assert drawn == real


def test_errors_named_in_the_semantics_exist() -> None:
    named = set(re.findall(r": `([A-Z]\w+)`", (ROOT / "docs" / "semantics.md").read_text()))
    assert named
    assert named <= set(vars(errors))


def test_test_files_named_in_the_documents_exist() -> None:
    for page in PAGES:
        for name in re.findall(r"`(tests/[\w/.]+)`", page.read_text()):
            assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_every_finding_is_in_the_page_of_troubles_and_every_one_there_exists() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "cdc").rglob("*.py"))
    found = set(re.findall(r'\b_?[Ff]inding\(\s*"([a-z_]+)"', code)) | {"log_bin", "binlog_format", "binlog_row_image"}
    found |= set(re.findall(r'\("([a-z]+_(?:missing|away|refused|unwritable))", ', code))  # of the doctor
    found |= {
        "binlog_row_value_options",
        "replication_slave",
        "replication_client",
        "flush_tables",
    }  # by variable, grant
    page = (ROOT / "docs" / "troubles.md").read_text()
    rows = "\n".join(line.split("|")[1] if line.startswith("|") else line for line in page.splitlines())
    named = set(
        re.findall(
            r"`([a-z]+_[a-z_]+|publication|encoding|version|unlogged|temporary|cascade|recreated|outdated|part"
            r"|superuser|engine|retention)`",
            rows,
        )
    )
    assert found - named == set()
    assert named - found == {"cdc_trouble"}
