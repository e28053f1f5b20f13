"""Who gets in: by a login with a role, or through a proxy that proves itself; and no form that was made elsewhere."""

import httpx
import pytest

from mail2fax.model import State
from mail2fax.operate import sessions
from mail2fax.spool import questions
from tests.support import spooling
from tests.support.desk import PASSWORD, serving, token, users_file

SQLITE = pytest.mark.parametrize("spool_url", ["sqlite"], indirect=True)
pytestmark = SQLITE


@pytest.fixture
async def desk(spool, tmp_path):
    async with serving(spool, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("path", ["/", "/faxes", "/faxes.csv", "/refused", "/month", "/act/pause", "/fax/X-1"])
async def test_without_a_login_there_is_only_the_login(desk, path):
    """And from there the way leads back."""
    async with desk.browser() as client:
        answer = await client.get(path)
        assert answer.status_code == 303 and answer.headers["location"].startswith("/login?next=")
        back = await client.post(answer.headers["location"], data={"name": "ann", "password": PASSWORD})
    assert back.headers["location"] == path


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:1"])
async def test_the_login_leads_nowhere_else(desk, elsewhere):
    """A link to the login must not send people to another site."""
    async with desk.browser() as client:
        answer = await client.post(f"/login?next={elsewhere}", data={"name": "ann", "password": PASSWORD})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("name", "password"), [("ann", "wrong"), ("nobody", PASSWORD), ("scanner", PASSWORD), ("", "")]
)
async def test_a_wrong_login_is_refused_in_one_way(desk, name, password):
    """Nobody learns whether the name, the password or the role was wrong; no cookie is given."""
    async with desk.browser() as client:
        answer = await client.post("/login", data={"name": name, "password": password})
        assert answer.status_code == 403 and "Name or password is wrong" in answer.text
        assert not client.cookies


async def test_passwords_cannot_be_tried_without_end(desk):
    """Ten wrong ones from one client; then the right one is not looked at either, for a while."""
    async with desk.browser() as client:
        for _ in range(10):
            await client.post("/login", data={"name": "ann", "password": "wrong"})
        answer = await client.post("/login", data={"name": "ann", "password": PASSWORD})
    assert answer.status_code == 403 and "Too many wrong passwords" in answer.text


async def test_the_cookie_is_out_of_reach(desk):
    """No script reads it, no other site's page sends it; over https it never goes in plain."""
    async with desk.browser() as client:
        answer = await client.post("/login", data={"name": "ann", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "secure" not in cookie


async def test_behind_https_the_cookie_is_secure(spool, tmp_path):
    """[web] operate_https says so."""
    async with serving(spool, tmp_path, operate_https=True) as desk, desk.browser() as client:
        answer = await client.post("/login", data={"name": "ann", "password": PASSWORD})
    assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("given", ["", "wrong", "another session's"])
async def test_a_form_without_our_token_does_nothing(spool, desk, given):
    """Cross-site request forgery: a cookie alone is not enough, nor another session's token."""
    fax = await spooling.replied(spool, State.FAILED)
    path = f"/act/retry?fax={fax.id}"
    async with desk.as_("ann") as ann, desk.as_("dora") as dora:
        wrong = token((await dora.get(path)).text) if given.startswith("another") else given
        answer = await ann.post(path, data={"token": wrong})
    assert answer.status_code == 403 and "Nothing was done" in answer.text
    assert len(await spool.read(questions.named, fax.message_id)) == 1


async def test_a_form_from_another_site_does_nothing(spool, desk):
    """Even with the token: browsers say where a form comes from."""
    fax = await spooling.replied(spool, State.FAILED)
    path = f"/act/retry?fax={fax.id}"
    async with desk.as_("ann") as ann:
        data = {"token": token((await ann.get(path)).text)}
        answer = await ann.post(path, data=data, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert len(await spool.read(questions.named, fax.message_id)) == 1


async def test_a_session_that_ends_in_the_middle_loses_nothing(spool, desk, monkeypatch):
    """The act is not done; after the login the same question is asked again."""
    fax = await spooling.replied(spool, State.FAILED)
    path = f"/act/retry?fax={fax.id}"
    async with desk.as_("ann") as ann:
        data = {"token": token((await ann.get(path)).text)}
        monkeypatch.setattr(sessions, "IDLE_SECONDS", -1.0)
        answer = await ann.post(path, data=data)
        monkeypatch.undo()
        assert answer.status_code == 303
        back = await ann.post(answer.headers["location"], data={"name": "ann", "password": PASSWORD})
        again = await ann.get(back.headers["location"])
    assert "Send 3 pages again" in again.text
    assert len(await spool.read(questions.named, fax.message_id)) == 1


async def test_logging_out_ends_the_session(desk):
    """Also for somebody who kept the cookie."""
    async with desk.as_("ann") as ann:
        kept = dict(ann.cookies)
        await ann.post("/logout", data={"token": token((await ann.get("/")).text)})
        async with httpx.AsyncClient(base_url=desk.url, cookies=kept, trust_env=False) as thief:
            assert (await thief.get("/")).status_code == 303


@pytest.mark.parametrize(
    ("secret", "name", "status"),
    [("shared-secret-1", "ann", 200), ("shared-secret-1", "somebody", 200), ("wrong", "ann", 303), ("", "ann", 303)],
)
async def test_a_proxy_is_believed_with_its_secret_only(spool, tmp_path, secret, name, status):
    """A header alone is nothing: anybody can send one. Whom the users file does not know may look."""
    async with serving(spool, tmp_path, proxy_secret="shared-secret-1") as desk, desk.browser() as client:
        headers = {"X-Mail2fax-Secret": secret, "X-Remote-User": name}
        assert (await client.get("/", headers=headers)).status_code == status
        may_act = (await client.get("/act/pause", headers=headers)).status_code
        assert may_act == {"ann": 200, "somebody": 403}[name] if status == 200 else may_act == 303


async def test_no_page_runs_scripts_or_is_framed(desk):
    """A strict policy on every page, and nothing is kept by caches."""
    async with desk.as_("ann") as ann:
        for path in ("/", "/faxes", "/refused", "/month", "/nowhere"):
            headers = (await ann.get(path)).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "script-src" not in headers["content-security-policy"]
            assert headers["x-frame-options"] == "DENY" and headers["cache-control"] == "no-store"


async def test_another_name_is_not_ours(desk):
    """DNS rebinding: a strange site that points its name here reads nothing."""
    async with desk.browser() as client:
        assert (await client.get("/login", headers={"Host": "evil.example"})).status_code == 421


@pytest.mark.parametrize("roles", [("look",), (), None])
async def test_a_right_that_is_taken_away_is_gone_at_once(desk, tmp_path, roles):
    """Not at the next login: who may act no more is asked to log in again, on the page that is open."""
    async with desk.as_("ann") as ann, desk.as_("lou") as lou:
        assert (await ann.get("/act/pause")).status_code == 200
        users_file(tmp_path, {"ann": roles})
        desk.users.reload()
        assert (await ann.get("/act/pause")).status_code == 303
        again = await ann.post("/login", data={"name": "ann", "password": PASSWORD})
        assert again.status_code == (303 if roles else 403)
        assert (await ann.get("/act/pause")).status_code == (403 if roles else 303)
        assert (await lou.get("/")).status_code == 200  # whose line is as it was


async def test_right_passwords_shut_nobody_out(desk):
    """Behind a proxy everybody has one address: a dozen people who come to work are no attack."""
    async with desk.browser() as client:
        answers = [await client.post("/login", data={"name": "ann", "password": PASSWORD}) for _ in range(12)]
    assert {answer.status_code for answer in answers} == {303}


async def test_another_site_logs_nobody_in(desk):
    """Nobody is to work under a stranger's name without knowing it (login CSRF)."""
    async with desk.browser() as client:
        data = {"name": "ann", "password": PASSWORD}
        answer = await client.post("/login", data=data, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403 and not answer.cookies


async def test_logging_out_twice_is_no_fault(desk):
    """The session was over meanwhile: the login, and from there to the first page."""
    async with desk.as_("ann") as ann:
        ann.cookies.clear()
        answer = await ann.post("/logout", data={"token": "x"})
    assert answer.headers["location"] == "/login"


async def test_a_form_with_many_fields_is_only_wrong(desk):
    """A clear answer, no error of ours."""
    async with desk.browser() as client:
        answer = await client.post("/login", content="&".join(["a=b"] * 1000))
    assert answer.status_code == 403


async def test_behind_a_proxy_each_client_has_passwords_of_its_own(spool, tmp_path):
    """The address that the proxy saw counts, if the proxy proves itself; what others write there counts for nothing."""
    wrong = {"name": "ann", "password": "wrong"}
    async with serving(spool, tmp_path, proxy_secret="shared-secret-1") as desk, desk.browser() as client:
        for n in range(10):
            for secret, seen in (("shared-secret-1", f"10.9.9.{n}, 192.0.2.7"), ("guessed", f"192.0.2.{n}")):
                headers = {"X-Mail2fax-Secret": secret, "X-Forwarded-For": seen}
                await client.post("/login", data={**wrong, "name": f"nobody{n}"}, headers=headers)
        tried = {}
        for secret, seen in (
            ("shared-secret-1", "192.0.2.7"),
            ("shared-secret-1", "192.0.2.8"),
            ("guessed", "192.0.2.9"),
        ):
            headers = {"X-Mail2fax-Secret": secret, "X-Forwarded-For": seen}
            answer = await client.post("/login", data={"name": "dora", "password": PASSWORD}, headers=headers)
            tried[secret, seen] = answer.status_code
    assert list(tried.values()) == [403, 303, 403]
