"""The page of export.serve in a headless Chromium.

    pip install -e '.[test,browser]'
    PYTHONPATH=.:tests python tests/browser.py [chromium] [screenshot.png] [models image]

takes the Chromium at the given path (`-` or nothing: the one that `playwright install chromium`
fetched), drops an image on the page, moves a slider, generates an image, and checks what is drawn
against the model of tests/linear_autoencoder.py. A screenshot of the end is written if a file is
named. With a folder of models, an image is dropped for the screenshot and nothing is checked.
"""

from __future__ import annotations

import base64
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import linear_autoencoder as served
import numpy as np
from playwright.sync_api import Page, expect, sync_playwright

DROP = """([content, name, type]) => {
  const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, {type}));
  document.getElementById("drop").dispatchEvent(
    new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""
READ = """id => {
  const canvas = document.getElementById(id);
  const {width, height} = canvas;
  return [height, width, [...canvas.getContext("2d").getImageData(0, 0, width, height).data]];
}"""


def drop(page: Page, content: bytes, name: str, kind: str = "image/png") -> None:
    page.evaluate(DROP, [base64.b64encode(content).decode(), name, kind])


def drawn(page: Page, canvas: str) -> np.ndarray:
    """Returns the red of a canvas [H, W], in [0, 1]."""
    height, width, values = page.evaluate(READ, canvas)
    return np.reshape(values, (height, width, 4))[..., 0] / 255


def code(page: Page) -> list[float]:
    return page.evaluate("sliders().map(each => Number(each.value))")


def until(page: Page, condition: str) -> None:
    """Waits for a condition in the page, whose policy forbids playwright's own way."""
    since = time.monotonic()
    while not page.evaluate(condition):
        assert time.monotonic() - since < 10, condition
        time.sleep(0.02)


def shows(page: Page, canvas: str, expected: Any) -> None:
    """Waits until a canvas is as expected, to the eight bits a canvas has, twice rounded."""
    since = time.monotonic()
    while True:
        seen = drawn(page, canvas)
        if np.shape(expected) in ((), seen.shape) and np.allclose(seen, expected, 0, 1.1 / 255):
            return
        assert time.monotonic() - since < 10, (canvas, seen, expected)
        time.sleep(0.02)


def check(page: Page, address: str) -> None:
    """Uses the page as a person would, against the model of tests/linear_autoencoder.py."""
    page.goto(address)
    expect(page.locator("#sliders input")).to_have_count(served.K)
    shows(page, "decoded", 0.5)

    pixels = np.random.default_rng(3).integers(0, 256, served.SHAPE, np.uint8)
    mean = served.mean(pixels / 255)[0]
    reconstruction = served.image(mean)[0, ..., 0]
    drop(page, served.png(pixels), "digit.png")
    shows(page, "image", pixels[..., 0] / 255)
    shows(page, "reconstruction", reconstruction)
    shows(page, "decoded", reconstruction)
    np.testing.assert_allclose(code(page), mean, rtol=0, atol=1e-3)
    expect(page.locator("#sliders output").first).to_have_text(f"{mean[0]:.2f} ± 0.50")

    page.locator("#sliders input").nth(1).fill("2.5")
    shows(page, "decoded", served.image([mean[0], 2.5, mean[2]])[0, ..., 0])
    page.locator("#code").click()
    shows(page, "decoded", reconstruction)
    page.locator("#invert").check()
    shows(page, "reconstruction", served.image(served.mean(1 - pixels / 255))[0, ..., 0])
    page.locator("#invert").uncheck()
    shows(page, "reconstruction", reconstruction)
    page.locator("#zero").click()
    shows(page, "decoded", 0.5)

    drop(page, b"not an image", "notes.txt", "text/plain")
    expect(page.locator("#say")).to_have_text("notes.txt is no image.")
    page.locator("#draw").click()
    expect(page.locator("#about")).to_have_text("generated, z ~ p(z)")
    expect(page.locator("#say")).to_have_text("")
    drop(page, served.png(np.zeros((40, 60, 1), np.uint8)), "wide.png")
    expect(page.locator("#about")).to_have_text("wide.png, 60 x 40, drawn as 5 x 6")
    shows(page, "image", 0)
    shows(page, "decoded", 0.5)


def show(page: Page, address: str, image: str) -> None:
    """Drops an image on the page of a real model, for the screenshot."""
    page.goto(address)
    expect(page.locator("#sliders input").first).to_be_visible()
    drop(page, Path(image).read_bytes(), Path(image).name)
    expect(page.locator("#code")).to_be_enabled()
    until(page, "!working && wanted === undefined")


def main(
    chromium: str | None, screenshot: str | None, models: str | None, image: str | None
) -> int:
    errors: list[str] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        out = Path(models or folder)
        if not models:
            served.write(out)
        with served.serving(out) as address:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1000, "height": 760})
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda said: errors.append(said.text) if said.type == "error" else 0)
            if image:
                show(page, address, image)
            else:
                check(page, address)
            if screenshot:
                page.screenshot(path=screenshot)
            browser.close()
    print(*errors or ["the page does what it should"], sep="\n")
    return int(bool(errors))


if __name__ == "__main__":
    given = [None if value == "-" else value for value in sys.argv[1:]] + [None] * 4
    sys.exit(main(*given[:4]))
