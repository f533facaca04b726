"""Chromium without a window, as the distribution packages it, with what it complained of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions, ChromeService, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

SECONDS = 60
_PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
_FLAGS = (
    "--headless=new", "--disable-dev-shm-usage", "--disable-background-networking",
    "--no-first-run", "--window-size=1200,900", "--lang=en-US", "--no-proxy-server",
    "--no-sandbox",  # of the browser, which as root has none; it meets only what the tests serve
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Browser:
    """One window. Elements are named by CSS selectors."""

    driver: Chrome

    def open(self, url: str) -> None:
        self.driver.get(url)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """The only visible one, as soon as there is one."""
        self.until(lambda: any(each.is_displayed() for each in self.all(selector)), selector)
        (found,) = (each for each in self.all(selector) if each.is_displayed())
        return found

    def text(self, selector: str = "main") -> str:
        return self.one(selector).text

    def sees(self, text: str, selector: str = "main") -> None:
        """Wait until it is there to be read."""
        self.until(lambda: text in self.script(_READ, selector), f"{text!r} in {selector}")

    def until(self, true: Callable[[], bool], what: str) -> None:
        WebDriverWait(self.driver, SECONDS, 0.05).until(lambda _: true(), message=what)

    def script(self, body: str, *arguments: object) -> Any:
        return self.driver.execute_script(body, *arguments)

    def press(self, *keys: str) -> None:
        """To whatever has the focus."""
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def tab_to(self, selector: str, back: bool = False) -> None:
        """By the keyboard alone."""
        for _ in range(60):
            if self.script("return document.activeElement.matches(arguments[0])", selector):
                return
            self.press(Keys.SHIFT + Keys.TAB if back else Keys.TAB)
        raise AssertionError(f"no Tab leads to {selector}")

    def become_phone(self) -> None:
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", _PHONE)

    def complaints(self) -> list[str]:
        """What the console has heard since it was asked last: violations of the policy, errors of the script."""
        return [str(each["message"]) for each in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]


_READ = "const e = document.querySelector(arguments[0]); return e && !e.closest('[hidden]') ? e.innerText : ''"


@contextmanager
def browser(*flags: str) -> Generator[Browser]:
    options = ChromeOptions()
    options.binary_location = _installed("chromium")
    for flag in (*_FLAGS, *flags):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # not in /tmp itself: a browser that is ended leaves folders of its own behind
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        service = ChromeService(_installed("chromedriver"), env={**os.environ, "TMPDIR": folder})
        driver = Chrome(options, service)
        try:
            yield Browser(driver)
        finally:
            driver.quit()


def _installed(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is missing: make .venv/.browser says how it is installed"
    return found
