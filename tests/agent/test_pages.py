"""What the pages about campaigns and the agent show is what the code takes."""

import json
import re
from pathlib import Path

from carcloud.agent.orders import parse_command
from carcloud.agent.settings import load_settings
from carcloud.codecs.campaign.checking import SignalType
from carcloud.codecs.campaign.document import parse_campaign
from carcloud.codecs.campaign.prepare import prepare
from carcloud.model.signals import CATALOGUE

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page, language):
    """The blocks of a page in one language."""
    text = (DOCS / page).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def known(path):
    """The type of a signal of the catalogue."""
    signal = CATALOGUE.get(path)
    return None if signal is None else SignalType(signal.datatype, signal.allowed)


def test_the_campaign_that_is_shown_can_be_run():
    (shown,) = blocks("campaigns.md", "json")
    prepared = prepare(parse_campaign(shown), known)
    assert prepared.condition is not None


def test_the_import_that_is_shown_works(capsys):
    shown = next(each for each in blocks("campaigns.md", "python") if "import_campaign" in each)
    exec(shown, {})  # noqa: S102 - the page is ours
    told = capsys.readouterr().out
    assert "Vehicle.Speed" in told
    assert "targetArn - targets are chosen" in told


def test_the_settings_that_are_shown_can_be_loaded(tmp_path):
    (shown,) = blocks("agent.md", "toml")
    file = tmp_path / "agent.toml"
    file.write_text(shown)
    settings = load_settings(file, {})
    assert settings.server.token_file == "/etc/carcloud-agent/token"
    assert [each.path for each in settings.hooks] == [
        None, None, "Vehicle.Body.Horn.IsActive"
    ]  # fmt: skip


def test_the_model_and_the_command_that_are_shown_can_be_read():
    documents = [json.loads(each) for each in blocks("agent.md", "json")]
    model = next(each for each in documents if "dbc" in each)
    assert all(each["path"] in CATALOGUE for each in model["signals"])
    (command,) = [each for each in documents if "arguments" in each]
    assert parse_command(json.dumps(command).encode()).arguments["duration_s"] == 60
