"""The page as people have it: in a browser, with a real service behind it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Keys

from tests.docker.forge import PROMPT, Place
from tests.page_picture import main, remember
from tests.server import hostile
from tests.server.browser import Browser, browser
from tests.server.serving import Served, serving
from tests.views import records
from tiny_backspace.server.auth import hashed
from tiny_backspace.telemetry.store import History

REPO = "owner/project"
TOKENS = f'tokens = {{ me = "{hashed("tbs_mine")}" }}\nadmins = ["me"]'
WELL, ILL = f"#/runs/{records.RUN}", f"#/runs/{hostile.RUN}"
VIEWS = {  # and what is read there when all has come
    "#/": "failed", "#/runs": "failed", "#/health": "What takes time", WELL: "branch of your repository", ILL: "failed",
}  # fmt: skip


@pytest.fixture
def page() -> Iterator[Browser]:
    """Whatever is done with it, no policy is violated and no script fails."""
    with browser() as opened:
        yield opened
        assert opened.complaints() == []


@pytest.fixture
def past(place: Place) -> Iterator[Served]:
    """A service with a history: a run that went well, one that did not, and a hostile one."""
    remember(place.program)
    with History(place.program.home / "state" / "tiny-backspace" / "history.db") as history:
        for each in hostile.records():
            history(each)
    with serving(place.program) as served:
        yield served


def test_a_run_is_started_and_watched_with_the_keyboard_alone(place: Place, page: Browser) -> None:
    text = '<img src=x onerror="window.pwned=1">'
    with serving(place.program) as served:
        page.open(served.url)
        page.sees("Nothing yet.")
        page.tab_to("#repo")
        page.press(REPO)
        page.tab_to("#prompt")
        page.press(f"replace 'helo' with '{text}' in README.md")
        page.tab_to("summary")
        page.press(Keys.ENTER)
        page.tab_to("#verify")
        page.press("grep -c onerror README.md")
        page.tab_to("#start-button")
        assert page.script(
            "return getComputedStyle(document.activeElement).outlineStyle !== 'none'"
        )
        page.press(Keys.ENTER)

        page.sees("succeeded", "#run-state")
        assert page.script("return document.activeElement.id") == "run-title"
        assert [each.text for each in page.all("ins.line")] == [f"+{text}! A small project."]
        assert [each.text for each in page.all("del.line")] == ["-helo! A small project."]
        assert "Cost\n$0" in page.text()
        assert "grep -c onerror README.md: exit 0" in page.text(".result")
        assert len(page.all(".steps .done")) == 7
        page.tab_to(".result a")
        address = page.one(".result a").get_attribute("href") or ""
        assert address.endswith(f"/{REPO}/pull/{place.pull.number}")
        page.tab_to("nav a[href='#/runs']", back=True)
        page.press(Keys.ENTER)
        page.sees("1 run, the newest first.")
        page.tab_to("td a")
        page.press(Keys.ENTER)
        page.sees("succeeded", "#run-state")
    assert page.script("return window.pwned") is None


def test_text_of_a_repository_or_a_model_is_shown_and_never_more(
    past: Served, page: Browser
) -> None:
    page.open(f"{past.url}/#/runs/{hostile.RUN}")
    page.sees(hostile.SHOWN, "#run-state")
    page.script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    seen = page.text()
    assert seen.count(hostile.SHOWN) > 25
    assert not {"\u202e", "\u2066", "\u200b", "\x1b", "\0"} & set(seen)
    assert page.all("main :is(script, img, svg, iframe, a[href^='javascript'])") == []
    assert hostile.ADDRESS in page.text(".result")
    for view in ("#/runs", "#/health", "#/"):
        page.open(f"{past.url}/{view}")
        page.sees("<script>")
        assert page.all("main :is(script, img, svg)") == []
    assert page.script("return window.pwned") is None


def test_whatever_a_script_would_do_the_policy_forbids_it(past: Served, page: Browser) -> None:
    """What the other tests rely on: a browser that says so."""
    page.open(past.url)
    page.sees("Lately")
    assert page.complaints() == []
    for attempt in (
        "document.body.innerHTML = '<img src=x onerror=window.pwned=1>'",
        "setTimeout('window.pwned = 1')",
        "const s = document.createElement('script'); s.src = 'data:,window.pwned=1'; document.body.append(s)",
        "document.body.setAttribute('onclick', 'window.pwned = 1'); document.body.click()",
        "new Image().src = 'http://127.0.0.1:9/x'",
        "fetch('http://127.0.0.1:9/').catch(() => {})",
        "document.body.setAttribute('style', 'color: red')",
        "document.forms[0].submit()",
    ):
        page.script(f"try {{ {attempt} }} catch (error) {{ console.error(error.message) }}")
        page.until(lambda: bool(page.complaints()), attempt)
    assert page.script("return window.pwned") is None
    page.complaints()


@pytest.mark.parametrize("view", VIEWS)
def test_on_a_phone_nothing_is_wider_than_the_screen(
    past: Served, page: Browser, view: str
) -> None:
    page.become_phone()
    page.open(f"{past.url}/{view}")
    page.sees(VIEWS[view])
    page.script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.script("return innerWidth") == 360
    wide = "return [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > 360 && !e.closest('.unseen, thead')).length"
    assert page.script(wide) == 0
    assert page.script("return document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("view", [view for view in VIEWS if view != ILL])
def test_everything_has_a_name_and_contrast(
    past: Served, page: Browser, view: str, mode: str
) -> None:
    feature = {"name": "prefers-color-scheme", "value": mode}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    page.open(f"{past.url}/{view}")
    page.sees(VIEWS[view])
    page.script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    dark = page.script("return getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(20, 20, 27)") == (mode == "dark")
    assert page.script(_FAINT) == []
    controls = page.all(":is(a, button, input, select, textarea, summary, progress, meter)")
    assert all(each.accessible_name for each in controls if each.is_displayed())


# WCAG 2.2, 1.4.3: 4.5 to 1 between a text and what is behind it.
_FAINT = """
const rgb = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, n) => sum + v * [.2126, .7152, .0722][n], 0);
const behind = (e) => { const c = rgb(getComputedStyle(e).backgroundColor); return c[3] === 0 ? behind(e.parentElement) : c; };
return [...document.querySelectorAll('body *')].filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
  .filter((e) => e.checkVisibility() && !e.closest('noscript, .unseen')).map((e) => {
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    return [e.textContent.slice(0, 40), (a + .05) / (b + .05)];
  }).filter(([, ratio]) => ratio < 4.5);
"""


def test_a_token_is_asked_for_and_kept_in_its_tab_only(place: Place, page: Browser) -> None:
    remember(place.program)
    with serving(place.program, settings=TOKENS) as served:
        page.open(f"{served.url}/#/runs")
        page.sees("A token, please")
        page.tab_to("#token")
        page.press("tbs_wrong", Keys.ENTER)
        page.sees("does not know this token")
        page.press("tbs_mine", Keys.ENTER)
        page.sees("2 runs, the newest first.")
        page.open(f"{served.url}/#/runs/{records.RUN}")
        page.sees("succeeded", "#run-state")
        kept = page.script("return [localStorage.length, document.cookie, sessionStorage.length]")
        assert kept == [0, "", 1]
        assert "tbs_" not in page.driver.current_url
        page.driver.switch_to.new_window("tab")
        page.open(f"{served.url}/#/runs")
        page.sees("A token, please")
        page.driver.switch_to.window(page.driver.window_handles[0])
        page.one("#forget").click()
        page.sees("A token, please")
        assert all("401" in each for each in page.complaints())  # Chromium tells of every one


def test_the_page_goes_on_when_the_service_comes_back(place: Place, page: Browser) -> None:
    flags = ("--verify", "sleep 8; echo verified", "--no-verify-base", "--quiet")
    with serving(place.program) as first:
        port = str(first.address[1])
        with place.program.start("run", REPO, PROMPT, *flags, cwd=place.work) as process:
            page.open(first.url)
            page.one("td a").click()
            page.sees("README.md", ".entry.edit")
            first.process.send_signal(signal.SIGKILL)
            page.sees("The connection is lost", "#run-connection")
            assert page.one("#run").is_displayed()
            with serving(place.program, "--port", port) as second:
                page.sees("succeeded", "#run-state")
                process.communicate()
                assert not page.one("main").text.count("The connection is lost")
                seen = [each.text for each in page.all(".entry")]
                assert sum("grep" not in each and "sleep 8" in each for each in seen) == 1
                page.open("about:blank")
                page.open(f"{second.url}/#/runs")
                page.one("td a").click()
                page.sees("succeeded", "#run-state")
                assert [each.text for each in page.all(".entry")] == seen
    assert all("ERR_" in each for each in page.complaints())  # Chromium tells of lost connections


def test_a_run_is_ended_from_the_page(place: Place, page: Browser) -> None:
    with serving(place.program) as served:
        page.open(served.url)
        page.one("summary").click()
        page.one("#verify").send_keys("sleep 60")
        page.one("#repo").send_keys(REPO)
        page.one("#prompt").send_keys(PROMPT, Keys.CONTROL + Keys.ENTER)
        page.sees("README.md", ".entry.edit")
        page.one("#cancel").click()
        page.sees("failed", "#run-state")
        assert "Exit code\n143" in page.text()
        assert not any(each.is_displayed() for each in page.all("#cancel"))


def test_what_the_service_refuses_is_said_where_it_was_asked(place: Place, page: Browser) -> None:
    with serving(place.program) as served:
        page.open(served.url)
        page.one("#repo").send_keys("/etc")
        page.one("#prompt").send_keys("x", Keys.CONTROL + Keys.ENTER)
        page.sees("A folder of the server is not worked on.", "#notice")
        assert page.one("#prompt").get_attribute("value") == "x"
        assert all("422" in each for each in page.complaints())


def test_the_picture_of_the_readme_can_be_taken_anew(tmp_path: Path) -> None:
    main(tmp_path)
    kept = Path(__file__).parents[2] / "docs" / "page.png"
    for taken in (tmp_path / "page.png", kept):
        assert taken.read_bytes().startswith(b"\x89PNG")
        assert taken.stat().st_size < 200_000
