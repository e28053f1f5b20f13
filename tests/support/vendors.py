"""What vendors declare of their APIs: vendor_schemas/*.json, extracts of their OpenAPI written down with their source.

`Declared` holds requests and answers against it; `Recorder` keeps those that pass before an application.
"""

import email
import email.policy
import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parent / "vendor_schemas"


@dataclass
class Exchange:
    """One request and its answer."""

    method: str
    path: str
    query: str
    content_type: str
    sent: bytes = b""
    status: int = 0
    answered: bytes = b""


class Recorder:
    """Stands before an application, and keeps what passes."""

    def __init__(self, application):
        self._application = application
        self.exchanges = []

    async def __call__(self, scope, receive, send):
        headers = dict(scope["headers"])
        one = Exchange(
            scope["method"], scope["path"], scope["query_string"].decode(), headers.get(b"content-type", b"").decode()
        )
        self.exchanges.append(one)

        async def received():
            message = await receive()
            one.sent += message.get("body", b"")
            return message

        async def sending(message):
            one.status = message.get("status", one.status)
            one.answered += message.get("body", b"")
            await send(message)

        await self._application(scope, received, sending)


class Declared:
    """A vendor's declarations."""

    def __init__(self, name):
        self.facts = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))

    def check(self, value, schema, what):
        """Fail with every error there is."""
        whole = {"allOf": [schema], "$defs": self.facts["$defs"]}
        Draft202012Validator.check_schema(whole)
        errors = [
            f"{what}: {error.json_path}: {error.message}" for error in Draft202012Validator(whole).iter_errors(value)
        ]
        assert not errors

    def exchange(self, one):
        """One request with its answer."""
        name, operation = self._operation(one)
        if "form" in operation:
            self.check(self._form(one, operation["form"]), operation["form"], f"{name}, the form")
        elif name.startswith("POST"):
            assert not one.sent
        asked = _nested(parse_qsl(one.query), operation.get("query", {}), self.facts["$defs"])
        self.check(asked, operation.get("query", {"additionalProperties": False}), f"{name}, the query")
        wanted = operation["answers"].get(str(one.status))
        assert wanted is not None or one.status >= 400, f"{name}: {one.status} is not declared"
        answer = json.loads(one.answered) if one.answered else None
        self.check(answer, self.facts["errors"] if wanted is None else wanted, f"{name}, the answer {one.status}")

    def _operation(self, one):
        for name, operation in self.facts["operations"].items():
            method, _, template = name.partition(" ")
            if method == one.method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), one.path):
                return name, operation
        raise AssertionError(f"{one.method} {one.path} is not declared")

    def _form(self, one, schema):
        whole = f"Content-Type: {one.content_type}\r\n\r\n".encode() + one.sent
        parts = email.message_from_bytes(whole, policy=email.policy.HTTP).iter_parts()
        pairs = [
            (part.get_param("name", header="content-disposition"), part.get_payload(decode=True).decode("latin-1"))
            for part in parts
        ]
        form = _nested(pairs, schema, self.facts["$defs"])
        return {name: value for name, value in form.items() if name not in self.facts.get("undeclared", ())}


def _nested(pairs, schema, defs):
    """Texts such as a[b]=1 as the objects and numbers that they stand for."""
    found = {}
    for name, text in pairs:
        first, *rest = re.findall(r"[^\[\]]+", name)
        place, key, inner = found, first, schema.get("properties", {}).get(first, {})
        for step in rest:
            place = place.setdefault(key, {})
            key, inner = step, _resolved(inner, defs).get("properties", {}).get(step, {})
        assert key not in place, f"{name} is said twice"
        place[key] = _value(text, _resolved(inner, defs))
    return found


def _resolved(schema, defs):
    return defs[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _value(text, schema):
    if schema.get("type") == "integer" and re.fullmatch(r"-?\d+", text):
        return int(text)
    return {"true": True, "false": False}.get(text, text) if schema.get("type") == "boolean" else text
