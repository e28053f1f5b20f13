"""Draws the operator's page for docs/: `python -m tools.desk [folder]`. Needs Chromium."""

import asyncio
import sys
import tempfile
from pathlib import Path

from mail2fax.config import Settings
from mail2fax.model import State
from mail2fax.spool import open_spool
from tests.support import spooling
from tests.support.browser import chromium, logged_in
from tests.support.desk import serving


async def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        settings = Settings.model_validate({"spool": {"url": f"sqlite:///{place}/spool/spool.db"}})
        async with open_spool(settings, serving=True, node="fax-1") as spool:
            unknown = await spooling.replied(spool, State.UNKNOWN, content=b"1", sender="maria@clinic.example")
            await spooling.replied(spool, content=b"2", sender="anna@office.example")
            failed = await spooling.replied(spool, State.FAILED, content=b"3", sender="tom@office.example")
            await spooling.prepared(spool, content=b"4", sender="anna@office.example")
            async with serving(spool, Path(place)) as desk, chromium() as browser:
                wide = await logged_in(browser, desk, viewport={"width": 1000, "height": 700})
                await _draw(wide, "/", folder / "operate.png")
                phone = await logged_in(
                    browser, desk, viewport={"width": 390, "height": 700}, color_scheme="dark", device_scale_factor=1
                )
                await _draw(phone, f"/act/retry?fax={failed.id}", folder / "operate-ask.png")
                await _draw(phone, f"/fax/{unknown.id}", folder / "operate-fax.png")


async def _draw(page, path: str, file: Path) -> None:
    await page.goto(path)
    await page.screenshot(path=file, full_page=True)
    print(file)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if sys.argv[1:] else "docs/screenshots")))
