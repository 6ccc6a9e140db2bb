"""What the documentation names is there: files, headings, commands, targets, settings, tests."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from assets.cli import cli
from datagen.config import Settings
from datagen.config.document import PAGE, document

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = sorted((ROOT / "docs/examples").glob("*.py"))
TEXT = {path: path.read_text(encoding="utf-8") for path in (*PAGES, *SCRIPTS)}

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
PLACEHOLDER = re.compile(r"[A-Z]+|…|\.\.\.")
SHELL = {"", "console", "sh", "text"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def blocks(page: Path, languages: set[str]) -> list[str]:
    return [text for language, text in BLOCK.findall(TEXT[page]) if language in languages]


def prose(page: Path) -> str:
    return BLOCK.sub("", TEXT[page])


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def lines(path: Path) -> Iterator[str]:
    """Whatever could be a command: lines of shells and docstrings, spans of prose."""
    texts = blocks(path, SHELL) if path.suffix == ".md" else [TEXT[path].replace("\\\n", " ")]
    for text in texts:
        for line in text.splitlines():
            yield line.strip().removeprefix("$ ")
    yield from SPAN.findall(prose(path)) if path.suffix == ".md" else ()


def commands(path: Path, *program: str) -> Iterator[list[str]]:
    """The arguments that a page gives to a program, without variables and comments around."""
    for line in lines(path):
        if program[0] not in line:
            continue
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # an apostrophe: no command
            continue
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            del words[0]
        if tuple(words[: len(program)]) == program:
            end = next((i for i, word in enumerate(words) if word in {"&", "&&", "|", ">"}), None)
            yield words[len(program) : end]


def refuse(command: click.Command, words: list[str]) -> str | None:
    """What is wrong with the arguments of a command; capitals stand for anything."""
    context = click.Context(command)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        found = command.get_command(context, name)
        if found is None:
            return None if PLACEHOLDER.fullmatch(name) else f"no command {name!r}"
        command, context = found, click.Context(found, parent=context)
    words = [word for word in words if word not in {"…", "..."}]
    try:
        values, rest, _ = command.make_parser(context).parse_args(words)
        for option in command.params:
            if isinstance(option.type, click.Choice) and values.get(option.name or ""):
                option.type.convert(values[option.name or ""], option, context)
    except click.UsageError as error:
        return error.format_message()
    if isinstance(command, click.Group):
        return refuse(command, rest) if rest else None
    return f"too much: {rest}" if rest else None


def settings_in(page: Path) -> Iterator[tuple[str, str]]:
    """Every ``[section]`` and name in the settings files that a page shows."""
    texts = blocks(page, {"toml"})
    for text in blocks(page, {"console"}):
        texts += re.findall(r"^\$ cat datagen\.toml\n(.*?)(?=^\$ |\Z)", text, re.M | re.S)
    for text in texts:
        tree: dict[str, Any] = tomllib.loads(text)
        if all(isinstance(values, dict) for values in tree.values()):  # else a taxonomy
            yield from ((section, name) for section in tree for name in tree[section])


def test_the_page_of_settings_has_every_setting_with_its_default_and_no_other():
    page = PAGE.read_text(encoding="utf-8")
    assert page.count("| `engine.model` |") == 1
    assert page == document(page), "run `python -m datagen.config.document`"


@each_page
def test_every_link_and_picture_leads_somewhere(page: Path):
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if anchor:
            headings = HEADING.findall(BLOCK.sub("", path.read_text(encoding="utf-8")))
            assert anchor in map(slug, headings), target


@each_page
def test_every_file_of_ours_that_is_named_exists(page: Path):
    for name in re.findall(
        r"\b(?:tests|docs|datagen|assets|schemas)/[\w/]+\.(?:py|md|png|yaml|txt)\b", TEXT[page]
    ):
        assert (ROOT / name).is_file() or name.endswith("__init__.py"), name  # never to be made


@pytest.mark.parametrize("path", [*PAGES, *SCRIPTS], ids=lambda path: path.name)
def test_every_command_that_is_named_exists_and_takes_these_options(path: Path):
    for words in commands(path, "datagen"):
        assert not (complaint := refuse(cli, words)), f"datagen {shlex.join(words)}: {complaint}"


@pytest.mark.parametrize("path", [*PAGES, *SCRIPTS], ids=lambda path: path.name)
def test_every_script_and_module_that_is_named_exists_and_takes_these_options(path: Path):
    for name, *words in filter(None, commands(path, "python")):
        if name == "-m":
            module = ROOT / words[0].replace(".", "/")
            is_ours = (ROOT / words[0].split(".")[0]).is_dir()
            there = module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()
            assert there or not is_ours, words[0]
        elif name.endswith(".py"):
            script = (ROOT / name).read_text(encoding="utf-8")
            for option in words:
                assert not option.startswith("--") or f'"{option}"' in script, f"{name} {option}"


@each_page
def test_every_target_of_make_that_is_named_exists(page: Path):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for words in commands(page, "make"):
        assert not words or words[0] in targets, f"make {words[0]}"


@each_page
def test_every_setting_that_is_named_exists(page: Path):
    known = {tuple(name.split(".")) for name, _, _ in Settings().table()}
    sections = {section for section, _ in known}
    spans = re.findall(r"`([a-z]+)\.(?!(?:py|jsonl|toml)`)([a-z_]+)(?: = [^`]+)?`", prose(page))
    named = {(section, name) for section, name in spans if section in sections}
    for section, name in {*named, *settings_in(page)}:
        assert (section, name) in known, f"{section}.{name}"


@each_page
def test_every_test_that_a_result_cites_exists(page: Path):
    for words in commands(page, "pytest"):
        files = [word for word in words if word.endswith(".py")]
        if "-k" in words:
            (key,) = words[words.index("-k") + 1 :][:1]
            text = "".join((ROOT / file).read_text(encoding="utf-8") for file in files)
            assert re.search(rf"^def test_\w*{key}", text, re.MULTILINE), shlex.join(words)
