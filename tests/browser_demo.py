"""The page in a real browser: `make demo-test`, after `make demo-tools`. Skipped without Chromium.

Tempos are read on the page's own clock, so that a busy machine changes no result. Screenshots are
left in demo/screenshots, to be looked at.
"""

import base64
import shutil
import time

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

import make_demo

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="Chromium is not installed; try: make demo-tools"
)
FLAGS = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
    "disable-component-update disable-sync window-size=1280,1000"
).split()
SCREENSHOTS = make_demo.PAGE.parent / "screenshots"
WAIT = 120  # [s] at most, for what the page should say


class Page:
    """What a person does with the page and sees on it."""

    def __init__(self, driver):
        self.driver = driver

    def element(self, name):
        return self.driver.find_element("id", name)

    def text(self, name):
        return self.element(name).text

    def value(self, expression):
        return self.driver.execute_script(f"return {expression}")

    def wait_for(self, condition, what):
        end = time.monotonic() + WAIT
        while not condition():
            assert time.monotonic() < end, f"{what}; it says {self.text('reason')!r}"
            time.sleep(0.1)

    def turn_cue(self, cue):
        """With the arrow keys, hundredth by hundredth."""
        steps = round(100 * (cue - float(self.element("cue").get_property("value"))))
        self.element("cue").send_keys(
            (Keys.ARROW_RIGHT if steps > 0 else Keys.ARROW_LEFT) * abs(steps)
        )
        assert float(self.element("cue").get_property("value")) == pytest.approx(cue)

    def mean_iti(self, n_itis=15):
        """[s], once so many ITIs have been counted."""

        def counted():
            return int("0" + self.text("count").split(" ")[0])  # "" before the start

        self.wait_for(lambda: counted() >= n_itis, "waits for ITIs")
        return float(self.text("mean").split()[0]) / 1000

    def screenshot(self, name):
        SCREENSHOTS.mkdir(exist_ok=True)
        whole = {"captureBeyondViewport": True}
        image = self.driver.execute_cdp_cmd("Page.captureScreenshot", whole)["data"]
        (SCREENSHOTS / f"{name}.png").write_bytes(base64.b64decode(image))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of the shipped network, opened from its file and started by the keyboard."""
    folder = tmp_path_factory.mktemp("demo")
    template = make_demo.TEMPLATE.read_text(encoding="utf-8")
    text = make_demo.page_of(template, [make_demo.page_network(None, "shipped", {})])
    (folder / "index.html").write_text(text, encoding="utf-8")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in [*FLAGS, f"user-data-dir={folder / 'profile'}"]:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        driver.get((folder / "index.html").as_uri())
        page = Page(driver)
        assert page.text("verdict") == "at rest"
        driver.execute_script("""
            window.started = [];
            const start = AudioBufferSourceNode.prototype.start;
            AudioBufferSourceNode.prototype.start = function (time) {
              const isTap = this.buffer === voices.tap;
              const due = origin + (isTap ? taps : clicks).at(-1);
              started.push([isTap, due, time, this.context.currentTime]);
              start.call(this, time);
            };""")
        page.element("start").send_keys(Keys.ENTER)
        yield page
        errors = driver.get_log("browser")
    finally:
        driver.quit()
    assert not errors, errors


@pytest.mark.parametrize("cue", [0.2, 0.5, 0.8])
def test_the_cue_sets_the_tempo(page, cue):
    page.turn_cue(cue)
    assert page.text("asked") == f"{100 / cue:.0f} ms"
    assert page.mean_iti() == pytest.approx(0.1 / cue, rel=0.03)
    assert page.text("verdict").endswith("bpm")


def test_sound_is_scheduled_at_the_taps(page):
    started = page.value("started")
    assert len(started) > 30 and all(is_tap for is_tap, *_ in started)  # no click was asked for
    for _, due, time_of_sound, now in started:
        assert time_of_sound == max(due, now)  # what is late sounds at once
    late = sum(due < now for _, due, _, now in started)
    print(f"\n{late} of {len(started)} taps are late")


def test_it_goes_on_in_time(page):
    """Prints the simulated time relative to real time, which is 1 unless the machine is busy."""
    before = page.value("[simulated, busy, performance.now() / 1000]")
    page.wait_for(lambda: page.value("simulated") > before[0] + 4, "waits for 4 s of the network")
    after = page.value("[simulated, busy, performance.now() / 1000]")
    simulated, busy, wall = (b - a for a, b in zip(before, after, strict=True))
    print(f"\nsimulated / wall time {simulated / wall:.3f}, / computing {simulated / busy:.1f}")


def test_clicks_are_given_and_heard(page):
    page.turn_cue(0.5)
    n_clicks = page.value("clicks.length")
    page.element("click").send_keys(Keys.ENTER)
    assert page.value("clicks.length") == n_clicks + 1
    page.element("clicks").send_keys(Keys.SPACE)
    page.wait_for(lambda: page.value("clicks.length") > n_clicks + 12, "waits for clicks")
    given = page.value("clicks.slice(-8)")
    period = 60 / float(page.element("tempo").get_property("value"))
    for before, after in zip(given[:-1], given[1:], strict=True):
        assert after - before == pytest.approx(period, abs=1e-3)  # whole steps
    page.element("clicks").send_keys(Keys.SPACE)
    assert page.value("started.filter(([isTap]) => !isTap).length") == page.value("clicks.length")


def test_screenshots_fit_their_screens(page):
    page.turn_cue(0.5)
    for seconds in (1.7, 1.9):  # clicks, then silence
        page.element("clicks").send_keys(Keys.SPACE)
        time.sleep(seconds)
    page.value("document.activeElement.blur()")
    page.screenshot("desktop")
    assert page.value("document.documentElement.scrollWidth <= innerWidth")
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    time.sleep(0.5)
    page.screenshot("phone")
    assert page.value("document.documentElement.scrollWidth <= innerWidth")
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_without_its_units_it_does_not_beat(page):
    switches = page.element("lesions").find_elements("tag name", "input")
    for switch in switches:
        switch.send_keys(Keys.SPACE)
    page.wait_for(lambda: page.text("reason") == "silent", "waits for silence")
    assert page.text("verdict") == "no beat" and page.text("mean") == "\u2013"
    for switch in switches:
        switch.send_keys(Keys.SPACE)
    page.element("rest").send_keys(Keys.ENTER)
    assert page.mean_iti() == pytest.approx(0.2, rel=0.03)


def test_below_its_range_it_rests(page):
    page.turn_cue(-0.2)
    page.wait_for(lambda: page.text("verdict") == "no beat", "waits for rest")
    assert page.text("asked") == "\u2013"


def test_stop_stops(page):
    page.element("stop").send_keys(Keys.ENTER)
    page.wait_for(lambda: page.text("reason") == "stopped", "waits to stop")
    simulated = page.value("simulated")
    time.sleep(0.5)
    assert page.value("simulated") == simulated
    page.element("start").send_keys(Keys.ENTER)
    page.wait_for(lambda: page.value("simulated") > simulated, "waits to go on")


def test_every_control_has_a_name(page):
    """As a screen reader has it."""
    for element in page.driver.find_elements("css selector", "button, input, select, canvas"):
        assert element.accessible_name.strip() or not element.is_displayed()
