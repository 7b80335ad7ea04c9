"""Drives a real browser over the live page: page.py SCENARIO URL FOLDER [argument...]. Screenshots go into the folder.

A scenario says what went wrong by an exception; a page that writes errors to its console, asks another origin, or runs what a name says, fails
whatever it was asked to do.
"""

import json
import re
import sys
import time
from contextlib import contextmanager

from playwright.sync_api import expect, sync_playwright

PATIENCE = 20_000


class Browser:
    def __init__(self, playwright, origin):
        # The sandbox wants privileges that build machines do not give.
        self.browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        self.origin = origin
        self.wrongs = []
        self.may_fail = False

    @contextmanager
    def page(self, path="/", begins="live", **settings):
        context = self.browser.new_context(base_url=self.origin, **settings)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", self.said)
        page.on("pageerror", lambda error: self.wrongs.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.wrongs.append(f"a name opened a dialog: {dialog.message}"))
        page.on("request", self.asked)
        answer = page.goto(self.origin + path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy, policy
        expect(page.locator("#connection")).to_have_text(begins)
        yield page
        context.close()

    def said(self, message):
        # That a server is gone, the browser says by itself.
        if message.type in ("error", "warning") and not self.may_fail:
            self.wrongs.append(f"console: {message.text}")

    def asked(self, request):
        if not request.url.startswith((self.origin + "/", "data:")):
            self.wrongs.append(f"asked {request.url}")


def number(page, selector):
    return float(page.locator(selector).first.inner_text().replace(",", ""))


def wait_for(page, condition, what):
    """Until the page fulfils it. It is asked from here, since its policy forbids what browsers' drivers would have it run for that."""
    end = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"never: {what}; the page says: {page.inner_text('main')}"
        page.wait_for_timeout(20)


def height(page, area):
    """How high an area is at its highest, in percent of the plot."""
    path = page.locator(f"svg.places path.area.{area}").get_attribute("d")
    return 100 - min(float(point.split()[1]) for point in re.split("[MLZ]", path) if point)


def count(letter):
    """How many of the slider's last callers."""
    return f"document.querySelectorAll('#demo-calls .{letter}').length"


WITH, WITHOUT = 1, 2


def cell(name, way):
    """What the slider's callers got, as the page says it: an expression of its script."""
    return f"document.querySelector('#demo-{name}').cells[{way}].textContent"


def figures(page, way):
    return [page.evaluate(cell(name, way)) for name in ("answered", "refused", "gave_up")]


def press(browser, folder):
    """The button: with backpressure ten are answered in time and forty refused; without it nobody is, and the page shows both."""
    with browser.page(viewport={"width": 1200, "height": 1000}) as page:
        assert height(page, "flight") == 0, "nothing is in flight"
        expect(page.locator("#demo-service")).to_contain_text("it can do 20 a second")
        button = page.get_by_role("button", name="Send 50 requests at once")
        presses = page.get_by_role("list", name="presses").get_by_role("listitem")
        hint = page.locator("#demo-hint")
        expect(presses).to_have_count(0)
        expect(hint).to_have_text("Press it: 50 callers come at once, 10 fit.")
        # Whoever presses twice has pressed once, and nothing went wrong.
        button.dblclick()
        expect(button).to_be_disabled()
        expect(hint).to_contain_text("a press begins with an empty service")
        with_it = re.compile(r"with backpressure: 10 in time \(p50 \d+ ms\), 40 refused$")
        expect(presses).to_have_text([with_it])
        expect(page.locator("#demo-problem")).to_be_empty()
        dots = [presses.first.locator(f"i.{letter}").count() for letter in "argw"]
        assert dots == [10, 40, 0, 0], f"each of them is seen: {dots}"
        assert height(page, "flight") > 50, "the plot shows it"
        labels = page.locator("figure:has(.places) .axis span").all_inner_texts()
        assert labels == ["0", "5", "10", "15"], f"from 0 to above the limit: {labels}"
        expect(page.locator("#refusals tbody tr").first.locator("td")).to_have_text(
            [re.compile(" s ago"), "GET /request", "40", "demo", "no free place"])
        # Of a press that is over, nothing stays that looks as if it went on.
        expect(page.locator(".reasons")).to_be_hidden()
        expect(page.get_by_text("Request duration, last 10 s", exact=True)).to_be_visible()
        expect(page.locator(".times")).to_have_text(re.compile(r"p50\s\d+\sms, p95\s\d+\sms, p99\s\d+\sms"))
        expect(page.locator(".why")).to_have_text("Why the limit is 10: it is fixed, and only an operator changes it")
        label = page.locator("svg.places").get_attribute("aria-label")
        assert re.fullmatch(r"In flight \d+ of 10, queued 0; in the last minute at most 10 at once", label), label
        page.screenshot(path=f"{folder}/pressed.png")
        expect(hint).to_have_text("Now switch backpressure off, and press again.")
        page.get_by_role("switch").click()
        expect(page.locator(".badge:visible")).to_have_text(["backpressure off"])
        expect(hint).to_have_text("Press it: 50 callers come at once, and all are let in.")
        # The driver waits until it is enabled, as people do.
        button.click()
        without = "without backpressure: 0 in time, 50 gave up"
        expect(presses).to_have_text([without, with_it])
        expect(hint).to_be_empty()
        page.get_by_role("switch").click()
        button.click()
        # All places are free again, though nobody waited here for that.
        expect(presses).to_have_text([with_it, without, with_it])
        # Counts of requests are never laid beside rates.
        expect(page.locator("#demo-figures")).to_be_hidden()
        page.screenshot(path=f"{folder}/pressed-without.png")


def switch(browser, folder):
    """Backpressure off and on again, under twice what the service can do."""
    with browser.page(viewport={"width": 1200, "height": 1100}) as page:
        page.get_by_role("slider").focus()
        # By keyboard, as whoever has no mouse; the page then tells the server.
        for _ in range(40):
            page.keyboard.press("ArrowRight")
        wait_for(page, f"parseFloat({cell('refused', WITH)}) > 10 && parseFloat({cell('answered', WITH)}) > 15", "it does what it can")
        expect(page.locator(".reasons")).to_have_text(re.compile(r"Refused: no free place \d+/s$"))
        wait_for(page, f"{cell('gave_up', WITH)} === '0.0/s'", "nobody gives up")
        page.get_by_role("switch").click()
        expect(page.locator(".badge.dry")).to_be_visible()
        # What it is about: without backpressure, hardly anybody is answered in time.
        wait_for(page, f"parseFloat({cell('gave_up', WITHOUT)}) > 20 && parseFloat({cell('answered', WITHOUT)}) < 5", "nearly all give up")
        wait_for(page, f"{count('a')} === 0", "of the last calls, none was answered")
        expect(page.locator(".phantoms")).to_contain_text("let in")
        expect(page.locator(".key.phantom").first).to_be_visible()
        page.screenshot(path=f"{folder}/without.png")
        page.get_by_role("switch").press("Space")
        expect(page.locator(".badge.dry")).to_be_hidden()
        # Those who had left have taken their work along, or it would keep the workers from those who come now.
        wait_for(page, f"{count('g')} === 0 && {count('a')} > 30 && {count('r')} > 20", "of the last calls, none gave up and many were answered")
        assert float(figures(page, WITHOUT)[2].removesuffix("/s")) > 20, "what it was like without stays in sight"


def leaves(browser, folder):
    """The rate that somebody has set ends with their page, and what they have switched off is on again."""
    with browser.page() as page:
        page.get_by_role("slider").focus()
        page.keyboard.press("ArrowRight")
        wait_for(page, f"{count('a')} > 0", "somebody is answered")
        page.get_by_role("switch").click()
        expect(page.locator(".badge.dry")).to_be_visible()
        assert left_on(page.context) == (1, False)
    context = browser.browser.new_context(base_url=browser.origin)
    end = time.monotonic() + PATIENCE / 1000
    while left_on(context) != (0, True):
        assert time.monotonic() < end, f"{left_on(context)} though nobody looks"


def left_on(context):
    demo = context.request.get("/demo").json()
    return demo["rate"], demo["backpressure"]


def change(browser, folder, token):
    """A limit is changed with a confirm and the token, and not without."""
    with browser.page() as page:
        page.get_by_role("button", name="Change…").first.click()
        expect(page.get_by_label("Pinned")).to_be_hidden()
        page.get_by_label("Limit, 0 to").fill("7")
        page.get_by_label("Token", exact=True).fill("wrong-wrong-wrong")
        page.get_by_role("button", name="Change", exact=True).click()
        expect(page.locator("#change-confirm")).to_contain_text("the limit goes from 3 to 7")
        page.screenshot(path=f"{folder}/change.png")
        browser.may_fail = True
        page.get_by_role("button", name="Yes, change it").click()
        expect(page.locator("#change-problem")).to_contain_text("Not changed: wrong token")
        browser.may_fail = False
        assert number(page, ".limit") == 3
        page.get_by_label("Token", exact=True).fill(token)
        page.get_by_role("button", name="Change", exact=True).click()
        page.get_by_role("button", name="Yes, change it").click()
        expect(page.locator("dialog")).to_be_hidden()
        expect(page.locator(".limit").first).to_have_text("7")
        # Escape leaves it as it is.
        page.get_by_role("button", name="Change…").first.click()
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_be_hidden()


def pin(browser, folder, token):
    """A limit that moves is pinned where it is and elsewhere, and let go."""
    with browser.page() as page:
        pinned, limit = page.get_by_label("Pinned"), page.get_by_label("Limit, 0 to")
        badge = page.locator(".badge.pinned")
        expect(badge).to_be_hidden()
        for change, asks, is_pinned, stands_at in [
            (lambda: pinned.check(), "the limit stays at 4.", True, "4"),
            (lambda: limit.fill("7"), "the limit goes from 4 to 7, and stays there.", True, "7"),
            (lambda: pinned.uncheck(), "the limit moves by itself again.", False, "7"),
            (lambda: limit.fill("9"), "the limit goes from 7 to 9, and moves on from there by itself.", False, "9"),
        ]:
            page.get_by_role("button", name="Change…").first.click()
            change()
            page.get_by_label("Token", exact=True).fill(token)
            page.get_by_role("button", name="Change", exact=True).click()
            expect(page.locator("#change-confirm")).to_contain_text(asks)
            page.screenshot(path=f"{folder}/pin-{stands_at}-{is_pinned}.png")
            page.get_by_role("button", name="Yes, change it").click()
            expect(page.locator("dialog")).to_be_hidden()
            expect(page.locator(".limit").first).to_have_text(stands_at)
            expect(badge).to_be_visible(visible=is_pinned)
            if is_pinned:
                expect(page.locator(".why")).to_contain_text("pinned by an operator")


def readonly(browser, folder):
    with browser.page() as page:
        expect(page.get_by_role("button", name="Change…")).to_have_count(0)


def locked(browser, folder, token):
    """A page that needs the token to be seen."""
    browser.may_fail = True
    with browser.page(begins="locked", ignore_https_errors=True) as page:
        entry = page.get_by_label("This page needs the token.")
        entry.fill("wrong-wrong-wrong-wrong")
        page.get_by_role("button", name="Open").click()
        expect(page.locator("#enter-problem")).to_have_text("That was not the token.")
        assert page.locator("article").count() == 0
        entry.fill(token)
        page.keyboard.press("Enter")
        expect(page.locator("#connection")).to_have_text("live")
        expect(page.locator("article h2")).to_have_count(1)
        expect(entry).to_be_hidden()


def hostile(browser, folder, name, request, path):
    """Names, routes and paths are text, whatever is in them; and a page is the same with a slash behind its path and without."""
    for path in (path, path + "/"):
        names_and_paths(browser, name, request, path)


def names_and_paths(browser, name, request, path):
    with browser.page(path) as page:
        expect(page.locator("article h2")).to_have_text([name])
        expect(page.locator("#routes tbody td").first).to_have_text(name)
        wait_for(page, "document.querySelector('#refusals tbody tr')", "a refusal is shown")
        expect(page.locator("#refusals tbody td").nth(1)).to_have_text(request)
        expect(page.locator("#refusals tbody td").nth(3)).to_have_text(name)
        expect(page.locator(".badge.zero")).to_be_visible()
        assert page.locator("main img, main script, main b b").count() == 0


def restart(browser, folder):
    """The server goes away and comes back; between these, it says so and reads a line, and waits for one."""
    with browser.page() as page:
        browser.may_fail = True
        print("live", flush=True)
        expect(page.locator("#connection")).to_have_text("connection lost, trying again", timeout=PATIENCE)
        assert page.locator("#connection.lost").count() == 1
        print("lost", flush=True)
        sys.stdin.readline()
        expect(page.locator("#connection")).to_have_text("live", timeout=PATIENCE)
        expect(page.locator(".limit").first).to_have_text("5")


def day(browser, folder):
    """As many frames as tens of thousands leave memory and page as a few hundred do."""
    with browser.page() as page:
        page.evaluate("window.last = null; document.addEventListener('frame', (event) => (window.last = event.detail), { once: true })")
        wait_for(page, "window.last !== null", "a frame")
        show = """async (count) => {
            const frame = structuredClone(window.last);
            frame.gauges[0].why = { reason: "", seconds_ago: 0, moves: {}, timed: 0 };
            frame.routes = [{ name: "all", gauge: frame.gauges[0].name, requests: 0 }];
            for (let index = 0; index < count; index++) {
                window.seconds = (window.seconds ?? 1e6) + 0.25;
                frame.seconds = window.seconds;
                frame.gauges[0].admitted += index % 50;
                frame.gauges[0].refused.full = (frame.gauges[0].refused.full ?? 0) + (index % 7);
                frame.gauges[0].in_flight = index % 10;
                frame.gauges[0].why.reason = `reason ${index}`;
                frame.routes[0].requests += index % 3;
                frame.refusals = Array.from({ length: index % 13 }, (_, at) =>
                    ({ seconds_ago: at, count: index, gauge: "demo", reason: "full", priority: at % 2 ? "low" : "normal", request: `GET /${index}` }));
                showFrame(structuredClone(frame));
                if (index % 1000 === 0) await new Promise((resolve) => setTimeout(resolve));
            }
        }"""
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")

        def measure():
            session.send("HeapProfiler.collectGarbage")
            metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
            return metrics["JSHeapUsedSize"], metrics["Nodes"]

        page.evaluate(show, 2_000)
        heap, nodes = measure()
        page.evaluate(show, 20_000)
        later_heap, later_nodes = measure()
        assert later_heap < heap + 1_000_000, f"{heap} bytes of heap became {later_heap}"
        assert later_nodes < nodes + 200, f"{nodes} nodes became {later_nodes}"


def ask_demo(page, wanted):
    page.evaluate("""(wanted) => fetch(location.pathname + "demo", {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(wanted) })""", wanted)


def send_and_wait(page):
    """A press of the button, to its end. The driver presses when the button can be pressed."""
    ask_demo(page, {"rate": 0})
    button = page.get_by_role("button", name="Send 50 requests at once")
    button.click()
    expect(button).to_be_enabled()


def laptop(browser, folder):
    """On a small screen, the first plot is in sight beside the controls, also once all was tried."""
    with browser.page(viewport={"width": 1280, "height": 720}) as page:
        plot = page.locator("svg.places")
        expect(plot).to_be_in_viewport(ratio=1)
        for is_on in (True, False, True):
            ask_demo(page, {"backpressure": is_on})
            send_and_wait(page)
        ask_demo(page, {"rate": 40})
        expect(page.locator("#demo-figures")).to_be_visible()
        wait_for(page, "document.querySelectorAll('#demo-calls i').length === 100", "as many are shown as ever")
        page.screenshot(path=f"{folder}/laptop.png")
        expect(page.get_by_role("list", name="presses").get_by_role("listitem")).to_have_count(3)
        expect(plot).to_be_in_viewport(ratio=1)


def looks(browser, folder):
    """Light, dark, and on a small phone, with everything in sight and nothing beside the screen."""
    desk, phone = {"width": 1200, "height": 900}, {"width": 320, "height": 640}
    mobile = {"viewport": phone, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
    for name, settings in {
        "light": {"viewport": desk, "color_scheme": "light"},
        "dark": {"viewport": desk, "color_scheme": "dark"},
        "phone": {"color_scheme": "light", **mobile},
        "phone-dark": {"color_scheme": "dark", **mobile},
    }.items():
        with browser.page(**settings) as page:
            page.screenshot(path=f"{folder}/{name}-before.png", full_page=True)
            send_and_wait(page)
            ask_demo(page, {"rate": 200})
            wait_for(page, "document.querySelector('#refusals tbody tr')", "a refusal is shown")
            wait_for(page, "[...cards.values()][0].history.frames.length > 24", "six seconds of frames")
            wait_for(page, f"{cell('answered', WITH)} !== '–'", "figures are shown")
            for beside in ("document.documentElement", *(f"document.querySelector('{place}')" for place in ("article", "#demo", "#refusals"))):
                wide = page.evaluate(f"{beside}.scrollWidth - {beside}.clientWidth")
                assert wide == 0, f"{name}: {beside} is {wide} pixels wider than there is room"
            unnamed = page.evaluate(
                "[...document.querySelectorAll('button, input, svg, meter')].filter((element) => !element.hidden"
                " && !element.labels?.length && !element.getAttribute('aria-label') && !element.textContent.trim()).length"
            )
            assert unnamed == 0, f"{unnamed} things have no name for a screen reader"
            # What is not in sight is not drawn.
            page.locator("article").scroll_into_view_if_needed()
            wait_for(page, "document.querySelector('svg.places .area.flight').getAttribute('d').split('L').length > 40", "the plot is drawn")
            page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def picture(browser, folder):
    """Not a test: the README's picture. A press with backpressure and one without it; then twice what the service can do, with backpressure,
    without it, and with it again."""
    with browser.page(viewport={"width": 1100, "height": 764}) as page:
        send_and_wait(page)
        ask_demo(page, {"backpressure": False})
        send_and_wait(page)
        ask_demo(page, {"backpressure": True})
        # The plots begin anew.
        page.reload()
        for seconds, wanted in (
            (2, {"rate": 0}),
            (14, {"rate": 40}),
            (14, {"backpressure": False}),
            (14, {"backpressure": True}),
        ):
            ask_demo(page, wanted)
            page.wait_for_timeout(1000 * seconds)
        page.screenshot(path=f"{folder}/page.png")


def main():
    scenario, origin, folder, *arguments = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = Browser(playwright, origin)
        globals()[scenario](browser, folder, *arguments)
        browser.browser.close()
        assert not browser.wrongs, json.dumps(browser.wrongs, indent=1)


main()
