"""A real browser, headless, for the operator's page: Debian's Chromium, which is skipped loudly where it is not."""

import contextlib
import shutil
import warnings

import pytest
from playwright.async_api import async_playwright, expect

from tests.support.desk import PASSWORD

# Nothing is looked up or fetched but the page under test.
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-features=OptimizationHints",
]  # fmt: skip


@contextlib.asynccontextmanager
async def chromium():
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        warnings.warn("NO CHROMIUM: the operator's page is not tried in a browser", stacklevel=1)
        pytest.skip("no chromium: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=QUIET)
        try:
            yield browser
        finally:
            await browser.close()


async def logged_in(browser, desk, name: str = "dora", **context):
    """A page of somebody who typed name and password, with the keyboard alone."""
    opened = await browser.new_context(base_url=desk.url, **context)
    page = await opened.new_page()
    await page.goto("/login")
    await expect(page.get_by_label("Name")).to_be_focused()  # by itself, but a frame later than the page is there
    await page.keyboard.type(name)
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    async with page.expect_navigation(url=f"{desk.url}/"):  # a pattern such as "**/" is true of the login as well
        await page.keyboard.press("Enter")
    return page


async def tab_to(page, text: str) -> None:
    """Press Tab until what has this text has the focus."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        focused = "document.activeElement.innerText || document.activeElement.value || ''"
        if (await page.evaluate(focused)).strip() == text:
            return
    raise AssertionError(f"the keyboard does not reach {text!r}")
