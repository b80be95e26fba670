"""The frame around the commands: help, examples, settings, completion, errors."""

import subprocess
import sys

import click
import pytest

from carcloud import __version__, config
from carcloud.cli import main
from carcloud.cli.examples import ExampleCommand, ExampleGroup


def _commands(command: click.Command, path: str = "carcloud") -> list[tuple[str, click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            inner = command.get_command(ctx, name)
            assert inner is not None
            found += _commands(inner, f"{path} {name}")
    return found


VISIBLE = [
    (path, command)
    for path, command in _commands(main)
    if not command.hidden and path != "carcloud role"
]


@pytest.mark.parametrize(("path", "command"), VISIBLE, ids=[path for path, _ in VISIBLE])
def test_help_has_a_sentence_an_example_and_a_help_for_each_option(carcloud, path, command):
    answer = carcloud(*path.split()[1:], "--help")
    assert answer.exit_code == 0
    assert command.help, f"{path} says nothing about itself"
    assert "Examples:" in answer.output or "Example" in (command.epilog or ""), (
        f"{path}: no example"
    )
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"{path} {parameter.opts[0]} has no help"


@pytest.mark.parametrize(("path", "command"), VISIBLE, ids=[path for path, _ in VISIBLE])
def test_examples_call_options_that_exist(path, command):
    if not isinstance(command, ExampleCommand | ExampleGroup):
        pytest.skip(f"{path} keeps its examples as free text")
    known = {
        option for _, each in VISIBLE for parameter in each.params for option in parameter.opts
    }
    for example in command.examples:
        used = {word.split("=")[0] for word in example.split() if word.startswith("--")}
        assert used <= known | {"--help", "--version"}, example


def test_help_imports_no_heavy_library():
    code = (
        "import sys; from carcloud.cli import main; main(['--help'], standalone_mode=False);"
        "heavy = {'httpx', 'pyarrow', 'numba', 'rich', 'litestar'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "carcloud", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"carcloud, version {__version__}\n"


def test_settings_shows_all_with_the_value_that_holds(carcloud, monkeypatch):
    monkeypatch.setenv("CARCLOUD_WEB_HOST", "127.0.0.9")
    shown = carcloud("--set", "web.port=1234", "settings")
    assert all(setting.name in shown.output for setting in config.SETTINGS)
    lines = {line.split()[0]: line.split()[1] for line in shown.output.splitlines()[1:]}
    assert (lines["web.port"], lines["web.host"], lines["records.url"]) == (
        "1234",
        "127.0.0.9",
        '""',
    )


def test_a_file_of_settings_is_read(carcloud, tmp_path):
    file = tmp_path / "carcloud.toml"
    file.write_text("[web]\nport = 4321\n")
    assert '"web.port": 4321' in carcloud("--config", str(file), "settings", "--json").output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--set", "web.prot=1"], "there is no setting 'web.prot'"),
        (["--set", "web.port=x"], "web.port must be int"),
        (["--set", "web.port"], "is not KEY=VALUE"),
        (["--config", "/nowhere.toml"], "does not exist"),
    ],
)
def test_wrong_settings_refuse_in_one_line(carcloud, given, said):
    answer = carcloud(*given, "settings")
    assert answer.exit_code != 0
    assert said in answer.output
    assert len([line for line in answer.output.splitlines() if line.startswith("Error")]) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_carcloud(carcloud, shell):
    answer = carcloud("completion", shell)
    assert answer.exit_code == 0
    assert "_CARCLOUD_COMPLETE" in answer.output


def test_completion_offers_commands():
    done = subprocess.run(
        [sys.executable, "-c", "from carcloud.cli import main; main(prog_name='carcloud')"],
        env={"_CARCLOUD_COMPLETE": "bash_complete", "COMP_WORDS": "carcloud ve", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "plain,vehicles\n"
