"""What machines are told of a fax, by the command line and by the reply."""

import json

from mail2fax.model import State
from tests.support.processes import command
from tests.support.samples import mail, pdf

FOR_OPERATORS = {"line", "held_by", "reply", "prepared_at", "replied_at", "due_at"}


async def test_the_reply_and_the_command_line_speak_one_dialect(bridge, outbox, tmp_path, faxapi):
    """Every name in outcome.json is one of `show --json`, with the same value."""
    faxapi.words = ["Failed"]
    running = await bridge(reply={"json_part": True})
    queue_id = await running.send(mail(pdf(2), subject="Lab results"))
    letter = await outbox.next()
    (part,) = (part for part in letter.message.walk() if part.get_content_type() == "application/json")
    told = json.loads(part.get_content())
    await running.until(queue_id, State.FAILED)
    file = tmp_path / "mail2fax.toml"
    file.write_text(f'[spool]\nurl = "{running.settings.spool.url}"\n')
    status, shown, error = await command(file, "show", queue_id, "--json")
    assert status == 0, error
    (fax,) = told["faxes"]
    assert fax["attempts"] == 1
    assert fax == {name: shown[name] for name in fax}
    assert set(shown) - set(fax) == FOR_OPERATORS | {"message", "parts", "events"}
    assert told["parts"] == shown["parts"]
    assert told["message"] == {name: shown["message"][name] for name in ("reverse_path", "subject", "message_id")}
