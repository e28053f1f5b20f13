"""Draws the replies as mail programs show them, for people to look at: `python tools/screenshots.py [folder]`.

Needs Chromium. Each picture shows one outcome on a desktop and on a phone, in light and dark.
"""

import io
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

from PIL import Image, ImageDraw

from mail2fax.config import Reply, Settings
from mail2fax.model import Reason
from mail2fax.replies import samples
from mail2fax.replies.letters import Letters

DESKTOP, PHONE = 720, 390
HEIGHT = 2400  # more than any reply needs: what is below it is cut off
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--force-device-scale-factor=1"),
)


def letters():
    made = Letters(Settings(), b"screenshots")
    french = Letters(Settings(reply=Reply(language="fr")), b"screenshots")
    shown = Letters(Settings(reply=Reply(preview="first")), b"screenshots")
    message, refused = samples.MESSAGE, replace(samples.MESSAGE, parts=samples.REFUSED_PARTS)
    yield "delivered", made.outcome(message, [samples.DELIVERED])
    yield "failed", made.outcome(message, [samples.FAILED])
    yield "refused", made.outcome(refused, [samples.REFUSED])
    yield "unknown", made.outcome(message, [samples.UNKNOWN])
    yield "cancelled", made.outcome(message, [samples.CANCELLED])
    yield "delayed", made.delayed(message, samples.WAITING, next_at=samples.ACCEPTED)
    yield "sending", made.delayed(message, samples.SENDING, next_at=None)
    yield "again", made.again(message, replace(samples.WAITING, retry_of=samples.FAILED.id))
    yield "mistyped", made.outcome(message, [samples.MISTYPED])
    yield "of-several", made.outcome(message, [samples.FAILED], numbers=3)
    yield "passed-on", made.passed_on(message, samples.FAILED)
    in_part = replace(message, parts=(*samples.PARTS, samples.REFUSED_PARTS[3]))
    yield "in-part", made.outcome(in_part, [samples.DELIVERED])
    yield "in-part-fr", french.outcome(in_part, [samples.DELIVERED])
    yield "summary", made.outcome(message, samples.SUMMARY)
    yield "preview", shown.outcome(message, [samples.DELIVERED], preview=_page())
    yield "delivered-fr", french.outcome(message, [samples.DELIVERED])
    yield "refused-fr", french.outcome(refused, [replace(samples.REFUSED, reason=Reason.PART_REFUSED)])


def main():
    folder = Path(sys.argv[1] if sys.argv[1:] else "docs/screenshots/replies")
    folder.mkdir(parents=True, exist_ok=True)
    for name, letter in letters():
        html = message_from_bytes(letter, policy=policy.default).get_body(("html",)).get_content()
        _side_by_side([view for dark in (False, True) for view in _drawn(html, dark)]).quantize(
            256, Image.Quantize.MAXCOVERAGE
        ).save(folder / f"{name}.png", optimize=True)
        print(folder / f"{name}.png")


def _drawn(html, dark):
    with tempfile.TemporaryDirectory() as place:
        page, picture = Path(place, "reply.html"), Path(place, "reply.png")
        # Chromium's window is not narrower than 500 points: a frame is.
        page.write_text(_framed(html))
        scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        command = [shutil.which("chromium") or "chromium", *FLAGS, scheme, f"--user-data-dir={place}/profile"]
        command += [f"--window-size={DESKTOP + PHONE},{HEIGHT}", f"--screenshot={picture}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        drawn = Image.open(io.BytesIO(picture.read_bytes())).convert("RGB")
    yield _trimmed(drawn.crop((0, 0, DESKTOP, HEIGHT)))
    yield _trimmed(drawn.crop((DESKTOP, 0, DESKTOP + PHONE, HEIGHT)))


def _framed(html):
    quoted = html.replace("&", "&amp;").replace('"', "&quot;").replace("cid:first-page", _page_url())
    frames = (
        f'<iframe style="border:0;width:{w}px;height:{HEIGHT}px" srcdoc="{quoted}"></iframe>' for w in (DESKTOP, PHONE)
    )
    return f'<meta name="color-scheme" content="light dark"><body style="margin:0;display:flex">{"".join(frames)}'


def _trimmed(image):
    """Without the empty page below the card."""
    ground = image.getpixel((2, HEIGHT - 2))
    rows = (
        y for y in range(HEIGHT - 1, 0, -1) if any(image.getpixel((x, y)) != ground for x in range(0, image.width, 7))
    )
    return image.crop((0, 0, image.width, min(next(rows, HEIGHT) + 16, HEIGHT)))


def _side_by_side(views):
    sheet = Image.new("RGB", (sum(v.width for v in views) + 8 * (len(views) - 1), max(v.height for v in views)), "#888")
    x = 0
    for view in views:
        sheet.paste(view, (x, 0))
        x += view.width + 8
    return sheet


def _page():
    page = Image.new("1", (425, 550), 1)
    draw = ImageDraw.Draw(page)
    draw.text((40, 40), "LAB RESULTS", 0, font_size=24)
    for line in range(14):
        draw.line((40, 100 + 28 * line, 385 - 60 * (line % 3), 100 + 28 * line), 0, 3)
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()


def _page_url():
    import base64

    return "data:image/png;base64," + base64.b64encode(_page()).decode()


if __name__ == "__main__":
    main()
