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


def understood(line: str, *, whole: bool) -> None:
    """Raise what the command line says of a command; one that is only mentioned may lack what it needs."""
    words = shlex.split(line, comments=True)
    known = max((path for path in COMMANDS if words[: path.count(" ") + 1] == path.split()), key=len)
    command, arguments = COMMANDS[known], words[known.count(" ") + 1 :]
    if getattr(command, "commands", None):
        assert not arguments, f"{known} has no command {arguments[0]!r}"
        return
    options = {option for parameter in command.params for option in parameter.opts}
    unknown = [word for word in arguments if word.startswith("-") and word not in options]
    assert whole or not unknown, f"{known} has no option {unknown[0]!r}"
    if whole:
        command.make_context(known, list(arguments))


def shown(text: str) -> list[str]:
    """Return the commands of a page's blocks: those that are to be typed as they are."""
    blocks = re.findall(r"^```(?:sh|bash)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return re.findall(r"^(cdc [a-z].*)$", "\n".join(blocks), re.MULTILINE)


def mentioned(text: str) -> list[str]:
    """Return the commands in a page's sentences, one for each of those that are named with ``|`` between them."""
    found = []
    for span in re.findall(r"`(cdc [a-z][^`\n]*)`", text):
        first, *others = span.replace("[", "").replace("]", "").replace("..", "").split(" | ")
        found += [first, *(f"{first.rpartition(' ')[0]} {other}" for other in others)]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_command_line_understands_the_commands_in_the_documents(page: Path) -> None:
    text = page.read_text()
    for line, whole in [*((line, True) for line in shown(text)), *((line, False) for line in mentioned(text))]:
        try:
            understood(line, whole=whole)
        except Exception as error:
            raise AssertionError(f"{page.name} shows {line!r}: {error}") from error


@pytest.mark.parametrize(
    "line", ["cdc tables drop a", "cdc load --fast", "cdc connectors remove", "cdc status --watch=1", "cdc load a b"]
)
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    with pytest.raises(Exception, match=r"no command|No such|Missing|does not take|unexpected"):
        understood(line, whole=True)


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
            r"`([a-z]+_[a-z_]+|publication|encoding|version|unlogged|temporary|cascade|recreated|outdated|differs|late|zerofill"
            r"|part|superuser|engine|retention)`",
            rows,
        )
    )
    assert found - named == set()
    assert named - found == {"cdc_trouble"}
