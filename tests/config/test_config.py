"""The settings: what is read, from where, and how a mistake is told."""

import json
import tomllib

import pytest

from mail2fax import log
from mail2fax.config import Settings, loader
from mail2fax.config.keys import BY_NAME, KEYS

CANARY = "canary-3f9a"

DESIGN = """
[smtp]
listen = ["127.0.0.1:2525"]
listen_tls = []
hostname = "fax.local"
domains = ["fax.local", "Fax.Office.example"]
max_message_size = 36_700_160
timeout = 300
trusted_networks = ["127.0.0.0/8", "::1/128"]
allowed_senders = ["*"]
[numbers]
country = "CA"
allow = ["CA", "US", "tollfree"]
deny = []
[provider]
name = "rinble"
url = "https://internal.callerip.ca:8000/api/fax"
timeout = 120
[[line]]
name = "accounting"
senders = ["*@accounting.office.example"]
token_file = "accounting"
[documents]
several = "merge"
keep_days = 7
[poll]
first = 5.0
deadline = 21600
[reply]
relay = "smtp+starttls://bob:pass@mail.office.example:587"
sender = "Fax <fax@fax.local>"
languages = { "*@quebec.example" = "fr" }
[log]
format = "json"
"""


@pytest.fixture(autouse=True)
def _own_secrets(monkeypatch):
    monkeypatch.setattr(log.secrets, "_secrets", set())


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "mail2fax.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problems(path, environ=None):
    with pytest.raises(loader.ConfigError) as caught:
        loader.load(path, environ or {})
    assert str(caught.value) == "\n".join(caught.value.problems)
    return [problem.replace(f"{path}: ", "FILE: ") for problem in caught.value.problems]


def test_nothing_given():
    """Without a file and without variables the defaults hold, unchanged."""
    assert loader.load(None, {"PATH": "/bin", "MAIL2FAX_CORPUS": "x", "MAIL2FAX_TEST_POSTGRES": "y"}) == Settings()


def test_defaults_are_good_values():
    """Each default would also be accepted if it stood in the file."""
    written = Settings().model_dump()
    for key in KEYS:
        if key.secret and key.section != "line":
            written[key.section][key.name] = ""
    assert Settings.model_validate(written) == Settings()


def test_the_documented_file(file, tmp_path):
    """The keys and values of the design are read, whole numbers stand for seconds, names of domains lose their case."""
    (tmp_path / "accounting").write_text(f"{CANARY}\n")
    settings = loader.load(file("\ufeff" + DESIGN), {})
    assert settings.smtp.timeout == 300.0
    assert settings.smtp.domains == ["fax.local", "fax.office.example"]
    assert settings.line[0].token.get_secret_value() == CANARY
    assert settings.reply.languages == {"*@quebec.example": "fr"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[provider]\ntokn = "x"', '[provider] tokn: unknown key, did you mean "token"?'),
        ("[smpt]\ntimeout = 1", '[smpt]: unknown section, did you mean "smtp"?'),
        ("[log]\nmax_pages = 1", "[log] max_pages: unknown key, it belongs to [documents]"),
        ("[log]\nqqq = 1", "[log] qqq: unknown key"),
        ("allowed_senders = []", "allowed_senders: stands outside of any section, it belongs to [smtp]"),
        ('smtp = "x"', "[smtp]: write it as a section, [smtp]"),
        ('[smtp]\ntimeout = "x"', '[smtp] timeout: must be a number greater than 0, not "x"'),
        ("[smtp]\ntimeout = 0", "[smtp] timeout: must be a number greater than 0, not 0"),
        ("[smtp]\ntimeout = inf", "[smtp] timeout: must be a number greater than 0, not Infinity"),
        ("[retry]\nlongest = 7201", "[retry] longest: must be a number greater than 0, 7200 at the most, not 7201"),
        ("[poll]\nlongest = 9000", "[poll] longest: must be a number greater than 0, 7200 at the most, not 9000"),
        ("[smtp]\nmax_recipients = 1.5", "[smtp] max_recipients: must be a whole number of at least 1, not 1.5"),
        ("[smtp]\nmax_recipients = true", "[smtp] max_recipients: must be a whole number of at least 1, not true"),
        ("[smtp]\ndsn = 1", "[smtp] dsn: must be true or false, not 1"),
        ('[smtp]\nlisten = "x:1"', '[smtp] listen: must be a list of text, not "x:1"'),
        (
            '[smtp]\nlisten = ["x"]',
            '[smtp] listen: write it as host:port, such as 127.0.0.1:2525 or [::1]:2525, not "x"',
        ),
        (
            '[web]\nlisten = "127.0.0.1:65536"',
            '[web] listen: write it as host:port, such as 127.0.0.1:8080, not "127.0.0.1:65536"',
        ),
        ("[smtp]\ndomains = []", "[smtp] domains: must be a list of text, not empty"),
        (
            '[smtp]\ndomains = ["a@b"]',
            '[smtp] domains: write it as a domain name, such as fax.office.example, not "a@b"',
        ),
        (
            '[smtp]\ntrusted_networks = ["10.0.0.1/8"]',
            '[smtp] trusted_networks: write it as 192.0.2.0/24 or 192.0.2.7, without bits after the prefix, not "10.0.0.1/8"',
        ),
        (
            '[smtp]\nallowed_senders = ["office.example"]',
            (
                "[smtp] allowed_senders: write it as *, bob@office.example or *@office.example: it must fit"
                ' the whole address, not "office.example"'
            ),
        ),
        ("[smtp]\nrequire_tls = true", "[smtp]: require_tls needs tls_certificate"),
        (
            '[numbers]\nallow = ["+44"]',
            '[numbers] allow: write it as CA, US, territories, tollfree, or a prefix such as "+1876", not "+44"',
        ),
        ('[log]\nformat = "xml"', '[log] format: must be "console" or "json", not "xml"'),
        (
            '[reply]\ntime_zone = "Mars"',
            '[reply] time_zone: write it as a time zone name, such as America/Toronto, not "Mars"',
        ),
        (
            '[reply]\nadmin = "bob"',
            '[reply] admin: is not a mail address (An email address must have an @-sign), not "bob"',
        ),
        (
            '[provider]\nname = "x y"',
            '[provider] name: write it as rinble, hylafax, sinch, telnyx, sandbox or "package.module:Class", not "x y"',
        ),
        ('[[line]]\nname = "a"', '[[line]] "a" senders: is missing'),
        ('[[line]]\nsenders = ["*"]', "[[line]] 1 name: is missing"),
        ('[[line]]\nname = "a"\nsenders = ["*"]\ntokn = ""', '[[line]] "a" tokn: unknown key, did you mean "token"?'),
        (
            '[[line]]\nname = "a"\nsenders = ["*"]\n[[line]]\nname = "a"\nsenders = ["*"]',
            '[[line]] name: "a" is used twice',
        ),
        (
            '[[line]]\nname = "default"\nsenders = ["*"]',
            '[[line]] name: "default" is the line of [provider]; write another name',
        ),
        *(
            (
                f'[spool]\nurl = "sqlite:///{name}"',
                "[spool] url: write it as sqlite:///path/spool.db or postgresql://user@host/database",
            )
            for name in ("", ":memory:")  # what is accepted is to be on a disk
        ),
        ("[smtp\n", "line 1, column 6: Expected ']' at the end of a table declaration"),
        ("[smtp]\ntimeout = 1\ntimeout = 2\n", "line 3, column 12: Cannot overwrite a value"),
    ],
)
def test_a_mistake_is_told_by_place(file, text, problem):
    """Each mistake names the file, the section and the key, and says what would be right."""
    assert problems(file(text)) == [f"FILE: {problem}"]


def test_all_mistakes_at_once(file):
    """One start tells every mistake, whether it stands in the file, in the environment or in a secret's file."""
    found = problems(
        file('[smtp]\ntimeout = "x"\n[log]\nlevel = 3\n[provider]\ntoken_file = "absent"'), {"MAIL2FAX_A__B": ""}
    )
    assert len(found) == 4


def test_no_such_file(tmp_path):
    """A file that was asked for and is not there is an error, never the defaults."""
    path = tmp_path / "mail2fax.toml"
    assert problems(path) == ["FILE: cannot be read: No such file or directory"]
    path.write_bytes(b"\xff\xfe")
    assert problems(path) == ["FILE: cannot be read: it is not UTF-8 text"]


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("MAIL2FAX_SMTP__LISTEN", "127.0.0.1:25, [::1]:25", ["127.0.0.1:25", "[::1]:25"]),
        ("MAIL2FAX_SMTP__LISTEN", "[::1]:25,127.0.0.1:25", ["[::1]:25", "127.0.0.1:25"]),
        ("MAIL2FAX_SMTP__LISTEN", '["127.0.0.1:25"]', ["127.0.0.1:25"]),
        ("MAIL2FAX_SMTP__LISTEN", "['127.0.0.1:25',]", ["127.0.0.1:25"]),
        ("MAIL2FAX_SMTP__TRUSTED_NETWORKS", "", []),
        ("MAIL2FAX_SMTP__TIMEOUT", "12", 12.0),
        ("MAIL2FAX_SMTP__MAX_MESSAGE_SIZE", "10_000_000", 10_000_000),
        ("MAIL2FAX_SMTP__DSN", "False", False),
        ("MAIL2FAX_REPLY__SENDER", "Desk <desk@office.example>", "Desk <desk@office.example>"),
        ("MAIL2FAX_REPLY__LANGUAGES", '{"*@q.example": "fr"}', {"*@q.example": "fr"}),
        ("MAIL2FAX_REPLY__LANGUAGES", '{"*@q.example" = "fr"}', {"*@q.example": "fr"}),
        ("MAIL2FAX_LOG__LEVEL", "debug", "debug"),
    ],
)
def test_a_variable(file, variable, text, value):
    """Each key is also a variable, written by its type, and goes before the file."""
    section, key = variable.removeprefix("MAIL2FAX_").lower().split("__")
    for path in (None, file(DESIGN.replace('token_file = "accounting"', ""))):
        assert getattr(getattr(loader.load(path, {variable: text}), section), key) == value


@pytest.mark.parametrize(
    ("variable", "text", "problem"),
    [
        (
            "MAIL2FAX_SMTP__TIMEUOT",
            "1",
            "MAIL2FAX_SMTP__TIMEUOT: unknown setting, did you mean MAIL2FAX_SMTP__TIMEOUT?",
        ),
        ("MAIL2FAX_SMTP_TIMEOUT", "1", "MAIL2FAX_SMTP_TIMEOUT: write it with two underscores, MAIL2FAX_SMTP__TIMEOUT"),
        ("MAIL2FAX_SMTP__TIMEOUT", "x", 'MAIL2FAX_SMTP__TIMEOUT: must be a number greater than 0, not "x"'),
        ("MAIL2FAX_SMTP__TIMEOUT", "", 'MAIL2FAX_SMTP__TIMEOUT: must be a number greater than 0, not ""'),
        (
            "MAIL2FAX_SMTP__TIMEOUT",
            "1\nx = 2",
            'MAIL2FAX_SMTP__TIMEOUT: must be a number greater than 0, not "1\\nx = 2"',
        ),
        ("MAIL2FAX_SMTP__LISTEN", '["x"', 'MAIL2FAX_SMTP__LISTEN: must be a list of text, not "[\\"x\\""'),
        ("MAIL2FAX_LINE", f'[{{"name": "a", "token": "{CANARY}"}}]', 'MAIL2FAX_LINE: [[line]] "a" senders: is missing'),
    ],
)
def test_a_wrong_variable(file, variable, text, problem):
    """A mistake in the environment names the variable."""
    assert problems(None, {variable: text}) == [problem]
    assert problems(file(""), {variable: text}) == [problem]


@pytest.mark.parametrize(
    "lines", ['[{"name": "a", "senders": ["*"], "token": "%s"}]', '[{name = "a", senders = ["*"], token = "%s"}]']
)
def test_lines_in_the_environment(file, lines):
    """MAIL2FAX_LINE takes all lines, as JSON or TOML, in the place of those in the file."""
    settings = loader.load(file('[[line]]\nname = "b"\nsenders = ["*"]'), {"MAIL2FAX_LINE": lines % CANARY})
    assert [(line.name, line.token.get_secret_value()) for line in settings.line] == [("a", CANARY)]


def test_a_secret_from_a_file(file, tmp_path, monkeypatch):
    """`*_file` is read without its line end, from the configuration's folder wherever the command is called from."""
    (tmp_path / "token").write_text(f" {CANARY}\r\n")
    monkeypatch.chdir("/")
    for variables in ({}, {"MAIL2FAX_PROVIDER__TOKEN_FILE": str(tmp_path / "token")}):
        settings = loader.load(file('[provider]\ntoken_file = "token"'), variables)
        assert settings.provider.token.get_secret_value() == CANARY
        assert settings.provider.token_file == str(tmp_path / "token")


@pytest.mark.parametrize(
    ("text", "environ", "problem"),
    [
        (
            '[provider]\ntoken_file = "absent"',
            {},
            "FILE: [provider] token_file: cannot read absent: No such file or directory",
        ),
        ('[provider]\ntoken_file = "blank"', {}, "FILE: [provider] token_file: blank is empty"),
        (
            '[provider]\ntoken_file = "/dev/zero"',
            {},
            "FILE: [provider] token_file: /dev/zero holds more than 65536 characters: no secret is so long",
        ),
        ('[provider]\ntoken_file = "."', {}, "FILE: [provider] token_file: cannot read .: Is a directory"),
        (
            f'[provider]\ntoken = "{CANARY}"\ntoken_file = "token"',
            {},
            "FILE: [provider] token_file: token is given too; keep one of them",
        ),
        (
            '[[line]]\nname = "a"\nsenders = ["*"]\ntoken_file = "absent"',
            {},
            'FILE: [[line]] "a" token_file: cannot read absent: No such file or directory',
        ),
        (
            "",
            {"MAIL2FAX_SPOOL__PASSWORD_FILE": "absent"},
            "MAIL2FAX_SPOOL__PASSWORD_FILE: cannot read absent: No such file or directory",
        ),
        (
            "",
            {"MAIL2FAX_PROVIDER__TOKEN": CANARY, "MAIL2FAX_PROVIDER__TOKEN_FILE": "token"},
            "MAIL2FAX_PROVIDER__TOKEN_FILE: token is given too; keep one of them",
        ),
    ],
)
def test_a_secret_that_cannot_be_had(file, tmp_path, text, environ, problem):
    """A secret's file that is absent, empty or in doubt is an error that names section, key and file."""
    (tmp_path / "token").write_text("x")
    (tmp_path / "blank").write_text("\n")
    said = [line.replace(f"{tmp_path}/", "").replace(f"{tmp_path}:", ".:") for line in problems(file(text), environ)]
    assert said == [problem]


def test_the_environment_wins_over_the_pair(file, tmp_path):
    """A token in the environment replaces token_file of the file, and the other way about: no conflict."""
    (tmp_path / "token").write_text("from-file")
    both = (
        ('[provider]\ntoken_file = "absent"', {"MAIL2FAX_PROVIDER__TOKEN": CANARY}, CANARY),
        ('[provider]\ntoken = "old"', {"MAIL2FAX_PROVIDER__TOKEN_FILE": "token"}, "from-file"),
        ('[provider]\ntoken_file = "token"', {"MAIL2FAX_PROVIDER__TOKEN": ""}, "from-file"),
    )
    for text, environ, token in both:
        assert loader.load(file(text), environ).provider.token.get_secret_value() == token


def test_files_count_from_the_configuration(file, tmp_path, monkeypatch):
    """Relative names, the spool's too, mean the same file for every command; absolute ones stay."""
    monkeypatch.chdir("/")
    text = '[smtp]\nusers_file = "users"\ntls_certificate = "/tls/cert.pem"\n[reply]\ntemplates = "mine"\n'
    settings = loader.load(file(text), {"MAIL2FAX_COVER__TEMPLATE": "cover.typ"})
    assert settings.smtp.users_file == str(tmp_path / "users")
    assert settings.smtp.tls_certificate == "/tls/cert.pem"
    assert settings.reply.templates == str(tmp_path / "mine")
    assert settings.cover.template == str(tmp_path / "cover.typ")
    assert settings.smtp.tls_key == ""
    assert settings.spool.url == f"sqlite:///{tmp_path}/spool.db"
    for url in ("sqlite:////var/spool.db", "postgresql://h/d"):
        assert loader.load(file(text), {"MAIL2FAX_SPOOL__URL": url}).spool.url == url


SECRETS = {
    "provider": {"token": CANARY},
    "line": [{"name": "a", "senders": ["*"], "token": CANARY}],
    "spool": {"password": CANARY, "url": f"postgresql://u:{CANARY}@h/d?sslmode=require&password={CANARY}"},
    "reply": {"relay_password": CANARY, "secret": CANARY, "relay": f"smtps://u:{CANARY}@h:465"},
}


def environment(values):
    return {
        f"MAIL2FAX_{section}__{name}".upper(): value
        for section, table in values.items()
        if section != "line"
        for name, value in table.items()
    } | {"MAIL2FAX_LINE": json.dumps(values["line"])}


def test_secrets_are_not_shown():
    """`mail2fax check` shows the settings in force without any secret, and log blanks each of them."""
    settings = loader.load(None, environment(SECRETS))
    shown = loader.effective(settings)
    assert CANARY not in json.dumps(shown) + repr(settings) + str(settings)
    assert shown["spool"]["url"] == "postgresql://u:***@h/d?sslmode=require&password=***"
    assert shown["reply"]["relay"] == "smtps://u:***@h:465"
    assert shown["smtp"]["listen"] == ["127.0.0.1:2525"]
    assert log.secrets._secrets == {CANARY}


NEEDED = {
    "required_header_value": {"MAIL2FAX_SMTP__REQUIRED_HEADER": "X-Mark"},
    "relay_oauth_client_secret": {
        "MAIL2FAX_REPLY__RELAY": "smtps://fax@h",
        "MAIL2FAX_REPLY__RELAY_OAUTH_TOKEN_URL": "https://login.example/token",
        "MAIL2FAX_REPLY__RELAY_OAUTH_CLIENT_ID": "app",
    },
    "relay_password": {"MAIL2FAX_REPLY__RELAY": "smtps://fax@h"},
    "password": {"MAIL2FAX_SPOOL__URL": "postgresql://fax@h/fax"},
    "proxy_secret": {"MAIL2FAX_WEB__OPERATE": "127.0.0.1:8081", "MAIL2FAX_SMTP__USERS_FILE": "users"},
}  # secrets that are refused alone


def test_every_secret_is_hidden_from_the_log():
    """Each of them by itself, also as a URL and a query string write it."""
    for number, key in enumerate(key for key in KEYS if key.secret and key.section != "line"):
        loader.load(None, NEEDED.get(key.name, {}) | {key.variable: f"s3cret/{number}"})
        assert log.redact(f"a s3cret/{number} b s3cret%2F{number} c") == "a *** b *** c"
    loader.load(None, {"MAIL2FAX_REPLY__RELAY": "smtp://u:p%40ss@h"})
    assert log.redact("p@ss p%40ss") == "*** ***"


@pytest.mark.parametrize("spoil", ["wrong", "unknown", "type", "syntax"])
def test_no_secret_in_an_error(file, spoil):
    """However the settings are broken, an error repeats no secret and no URL that may hold one."""
    text = f'[provider]\ntoken = "{CANARY}"\n[reply]\nrelay = "smtps://u:{CANARY}@h:465"\n[[line]]\nname = "a"\nsenders = ["*"]\ntoken = "{CANARY}"\n'
    if spoil == "wrong":
        text = text.replace("smtps://", "smtps//") + f"[spool]\nurl = 'postgres://u:{CANARY}@h'"
    elif spoil == "unknown":
        text = text.replace("token =", "tokn =").replace("relay =", "rely =")
    elif spoil == "type":
        text = text.replace(f'"{CANARY}"', f'["{CANARY}"]').replace(f'"smtps://u:{CANARY}@h:465"', f'["{CANARY}"]')
    else:
        text = text.replace(f'token = "{CANARY}"', f'token = "{CANARY}', 1)
    assert CANARY not in "\n".join(problems(file(text)))
    assert "424242" not in "\n".join(problems(file("[provider]\ntoken = 424242")))  # quotes forgotten
    for broken in (json.dumps(SECRETS["line"])[:-1], json.dumps({"token": CANARY}), json.dumps([CANARY]), CANARY):
        assert CANARY not in "\n".join(problems(None, {"MAIL2FAX_LINE": broken}))


def test_a_default_reads_as_it_is_documented():
    """What the documentation calls the default is the default, written as in the file."""
    for key in KEYS:
        if key.default:
            value = tomllib.loads(f"value = {key.default}")["value"] if key.default != "{}" else {}
            default = key.field.default
            assert value == (default.get_secret_value() if key.secret else default), key
    assert BY_NAME["smtp", "timeout"].wanted == "a number greater than 0"


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("fax@office.example", "fax@office.example"),
        ("Fax <fax@office.example>", "fax@office.example"),
        ('"Fax, of <all> (us)" <Fax@office.example>', "Fax@office.example"),
        ("", ""),
    ],
)
def test_the_address_in_a_mailbox(written, address):
    """However it is written, everybody who asks gets the same."""
    reply = Settings(reply={"sender": written, "admin": written}).reply
    assert (reply.mailbox, reply.admin_mailbox) == (address, address)
