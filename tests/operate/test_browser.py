"""The operator's page as people use it: in a real browser, without scripts, by keyboard, small and large, light and dark."""

import pytest
from axe_playwright_python.async_playwright import Axe

from mail2fax.model import State
from mail2fax.spool import operator, questions, turned_away
from tests.support import spooling
from tests.support.browser import chromium, logged_in, tab_to
from tests.support.desk import serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("spool_url", ["sqlite"], indirect=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.xdist_group("browser"),
]
WIDTHS = (320, 390, 768, 1280)


@pytest.fixture
async def desk(spool, tmp_path):
    async with serving(spool, tmp_path) as opened:
        yield opened


@pytest.fixture
async def browser():
    async with chromium() as opened:
        yield opened


async def _do(page, path: str, link: str, yes: str) -> str:
    """Follow a link to an act, say yes. What the page then says was done."""
    await page.goto(path)
    await page.get_by_role("link", name=link, exact=True).click()
    await page.get_by_role("button", name=yes, exact=True).click()
    return await page.get_by_role("status").inner_text()


async def test_every_act_works_without_scripts(spool, desk, browser):
    """Each is asked, confirmed, told, and done."""
    ended = {}
    for n, state in enumerate([State.FAILED, State.UNKNOWN, State.UNKNOWN, State.UNKNOWN]):
        fax = await spooling.replied(spool, state, content=b"%d" % n)
        ended.setdefault(state, []).append(f"/fax/{fax.id}")
    failed, (arrived, lost, again) = ended[State.FAILED][0], ended[State.UNKNOWN]
    page = await logged_in(browser, desk, java_script_enabled=False)
    assert "Sending again as" in await _do(page, failed, "Send again", "Send again")
    assert "is delivered" in await _do(page, arrived, "It arrived", "It arrived")
    assert "is failed" in await _do(page, lost, "It did not arrive", "It did not arrive")
    assert "Sending again as" in await _do(page, again, "Send again", "Send again")
    assert "paused" in await _do(page, "/", "Pause sending", "Stop sending")
    assert "held" in await _do(page, "/", "Hold all that waits", "Hold")
    assert "released" in await _do(page, "/", "Release all that is held", "Release")
    fresh = (await spool.read(questions.named, failed.removeprefix("/fax/").partition("-")[0]))[-1]
    assert "held" in await _do(page, f"/fax/{fresh.id}", "Hold", "Hold")
    assert "released" in await _do(page, f"/fax/{fresh.id}", "Release", "Release")
    assert "is cancelled" in await _do(page, f"/fax/{fresh.id}", "Cancel", "Cancel the fax")
    assert "goes on" in await _do(page, "/", "Resume sending", "Resume sending")
    assert "Deleted" in await _do(page, "/", "Delete what was kept long enough", "Delete")
    assert await spool.read(operator.paused) is None


async def test_the_keyboard_is_enough(spool, desk, browser):
    """From the login to the confirmed act without a mouse."""
    fax = await spooling.replied(spool, State.FAILED)
    page = await logged_in(browser, desk, "ann")
    for text in ("Faxes", "(647) 495-9659", "Send again", "Send again"):
        await tab_to(page, text)
        async with page.expect_navigation():
            await page.keyboard.press("Enter")
    assert "Sending again as" in await page.get_by_role("status").inner_text()
    assert len(await spool.read(questions.named, fax.message_id)) == 2


async def test_a_login_that_ended_asks_again_and_comes_back(spool, desk, browser):
    """The cookie is gone between the question and the yes: nothing is done, and the question comes back."""
    fax = await spooling.replied(spool, State.FAILED)
    page = await logged_in(browser, desk, "ann")
    await page.goto(f"/act/retry?fax={fax.id}")
    await page.context.clear_cookies()
    await page.get_by_role("button", name="Send again").click()
    await page.get_by_label("Name").fill("ann")
    await page.get_by_label("Password").fill("correct horse 7391")
    await page.get_by_role("button", name="Log in").click()
    assert await page.get_by_role("heading", level=1).inner_text() == "Send 3 pages again to (647) 495-9659?"
    assert len(await spool.read(questions.named, fax.message_id)) == 1


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_every_page_fits_and_can_be_used_by_everybody(spool, desk, browser, colours):
    """At each width nothing is cut at the side, and axe finds no serious fault."""
    long_sender = "a.very.long.name.indeed.of.somebody@a-long-department-name.office.example"
    fax = await spooling.replied(spool, State.UNKNOWN, sender=long_sender)
    waiting = await spooling.prepared(spool, content=b"2")
    refusal = {"client": "192.0.2.7", "user": "", "sender": long_sender, "recipient": "9005551234@fax.local"}
    await spool.change(turned_away.write, [{**refusal, "answer": "550 5.7.1 Destination not permitted"}])
    page = await logged_in(browser, desk, color_scheme=colours)
    paths = ["/", "/faxes", f"/fax/{fax.id}", f"/fax/{waiting.id}", "/refused", "/month", "/explain", "/nowhere"]
    for path in [*paths, f"/act/retry?fax={fax.id}", "/login"]:
        await page.goto(path)
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
        found = await Axe().run(page)
        grave = [fault for fault in found.response["violations"] if fault["impact"] in {"serious", "critical"}]
        assert not grave, (path, [(one["id"], one["nodes"][0]["html"]) for one in grave])
