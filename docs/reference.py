"""docs/configuration.md, made of the settings themselves: `make docs`.

A test holds the file against this, so a key without its line of explanation, or with an old default, fails the build.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

from mail2fax.config import Section
from mail2fax.config.keys import KEYS, Key, sections

OPENING = """\
# Settings

<!-- Made by `make docs`. Change the sections in mail2fax/config instead. -->

mail2fax reads one TOML file, named by `--config` or by `MAIL2FAX_CONFIG`, and then the environment. Without a file the
defaults below hold. `mail2fax check` prints the settings in force, without secrets, and tries everything they name.

```toml
[smtp]
domains = ["fax.office.example"]
trusted_networks = ["127.0.0.0/8", "10.1.2.0/24"]
allowed_senders = ["*@office.example"]

[provider]
token_file = "/run/secrets/fax-token"

[reply]
relay = "smtp://mail.office.example:25"
sender = "Fax <fax@office.example>"
```

**Environment.** Each key is also a variable, `MAIL2FAX_SECTION__KEY` with two underscores between section and key, and
goes before the file: `MAIL2FAX_SMTP__TIMEOUT=120`. A list is written with commas
(`MAIL2FAX_SMTP__DOMAINS=fax.a.example,fax.b.example`) or as in TOML or JSON; `MAIL2FAX_LINE` takes all fax lines as a
list, `[{"name": "accounting", "senders": ["*@accounting.office.example"], "token_file": "/run/secrets/accounting"}]`.

**Secrets.** A secret `k` is better given as `k_file`, a file that holds it; blanks and line ends around it are left
out. Giving both is an error, but what stands in the environment replaces either in the file. No secret is ever printed,
logged or put into the spool.

**Files.** A relative name counts from the folder of the configuration file, the name in `sqlite:///spool.db` too, so
that `mail2fax serve` and `mail2fax list` find the same files wherever they are called from. Without a configuration
file a name counts from the working folder.

**Patterns.** `*` stands for anything and `?` for one character; a pattern must fit the whole address; upper and lower
case are alike.

**Mistakes.** An unknown key or a bad value stops the start, with all that is wrong told at once:
`mail2fax.toml: [provider] tokn: unknown key, did you mean "token"?`
"""


def configuration() -> str:
    """The whole page."""
    return "\n".join([OPENING, *(line for name, kind in sections() for line in _section(name, kind))])


def _section(name: str, kind: type[Section]) -> Iterator[str]:
    yield f"## {f'[[{name}]]' if name == 'line' else f'[{name}]'}\n"
    yield f"{kind.__doc__}\n"
    yield "| key | takes | default | |"
    yield "|---|---|---|---|"
    for key in KEYS:
        if key.section == name:
            yield _row(key, explanations()[kind.__name__, key.name])
    yield ""


@cache
def explanations() -> dict[tuple[str, str], str]:
    """The words below each key, by class and key. pydantic would read them at every start, for 15 ms."""
    found = {}
    sources = dict.fromkeys(inspect.getsourcefile(kind) or "" for _, kind in sections())
    bodies = (ast.parse(Path(source).read_text("utf-8")).body for source in sources)
    for kind in (one for body in bodies for one in body if isinstance(one, ast.ClassDef)):
        for key, words in pairwise(kind.body):
            match key, words:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[kind.name, name] = inspect.cleandoc(text)
    return found


def _row(key: Key, explanation: str) -> str:
    takes = "a secret" if key.secret else "a file" if key.file else key.wanted
    default = f"`{key.default}`" if key.default else "must be given"
    cells = (f"`{key.name}`", takes, default, _plain(explanation))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _plain(text: str) -> str:
    """The text with what Markdown would take for markup escaped, outside of code."""
    code = text.split("`")
    code[::2] = [re.sub(r"([<*])", r"\\\1", part) for part in code[::2]]
    return "`".join(code)


if __name__ == "__main__":
    print(configuration(), end="")  # noqa: T201 -- its output is the file
