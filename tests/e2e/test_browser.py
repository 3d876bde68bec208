"""
The page as people meet it: a real browser, a real server, real runs.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import ARABIC, SCRIPT, World

# Where pictures for the docs go: `make pictures`.
PICTURES = os.environ.get("OAFLOW_PICTURES")


def addresses(world: World) -> list[str]:
    run, failed = f"/runs/{world.ingested}", f"/runs/{world.failed}"
    return [
        "/",
        run,
        failed,
        f"{run}/stages/extract",
        f"{failed}/failures",
        f"{failed}/stages/fails",
        f"{run}/documents",
        f"{run}/receipt?line=indexed",
        f"{run}/log",
        f"{run}/plan?with={world.failed}",
        "/datasets",
        "/search?q=zurich&dataset=papers",
        f"/document?of=letter.txt&run={world.ingested}",
        f"/document?of=doc-1&run={world.failed}",
        "/workers",
        "/limits",
    ]


def open_at(world: World, page: Page, address: str) -> None:
    page.goto(world.root + address)


def mistakes(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{page.url}: {one['id']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical", "moderate")
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 360)])
def test_every_page_is_fit_for_screen_readers_in_light_and_dark_and_for_a_phone(
    world: World, scheme: str, width: int
) -> None:
    wrong: list[str] = []
    with world.page(color_scheme=scheme, viewport={"width": width, "height": 700}) as page:
        open_at(world, page, f"/runs/{world.failed}/failures")
        cause = page.locator(".cause h2 a").get_attribute("href")
        assert cause is not None
        for address in [*addresses(world), cause]:
            open_at(world, page, address)
            expect(page.locator("[data-again]")).to_have_count(0, timeout=30_000)
            wrong += mistakes(page)
            taken = page.evaluate("document.documentElement.scrollWidth")
            wrong += [f"{address} is {taken} wide, of {width}"] if taken > width else []
    assert wrong == []


def test_however_long_names_are_the_numbers_beside_them_are_in_sight(world: World) -> None:
    with world.page() as page:
        for address, width in (("/", 1200), ("/datasets", 1200), (f"/runs/{world.failed}", 360)):
            page.set_viewport_size({"width": width, "height": 780})
            open_at(world, page, address)
            expect(page.locator("table").first).to_be_visible()
            for table in page.locator(".wide:has(> table)").all():
                assert table.evaluate("one => one.scrollWidth - one.clientWidth") == 0, address


def test_on_a_phone_the_list_of_runs_shows_what_failed_and_a_log_without_lines_is_no_empty_box(world: World) -> None:
    with world.page(viewport={"width": 360, "height": 780}) as page:
        failed = page.locator(f"tr[data-run={world.failed}] [data-counter=failed]")
        expect(failed).to_have_text("2")
        box = failed.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 360
        open_at(world, page, f"/runs/{world.failed}/log?stage=source")
        expect(page.get_by_text("The stages printed nothing")).to_be_visible()
        expect(page.get_by_role("log")).to_be_hidden()


def test_the_token_leaves_the_address_and_who_has_none_stays_outside(world: World) -> None:
    with world.page(refused=True) as page:
        assert page.url == f"{world.root}/"
        page.get_by_role("button", name="Leave").click()
        expect(page.get_by_role("heading", name="Come in")).to_be_visible()
        open_problem = page.goto(f"{world.root}/runs/{world.ingested}")
        assert open_problem is not None
        assert open_problem.status == 401


def test_a_name_that_is_a_script_is_shown_and_not_run_wherever_it_stands(world: World) -> None:
    name = SCRIPT.replace("/", "\N{DIVISION SLASH}")
    with world.page() as page:
        open_at(world, page, f"/runs/{world.ingested}/documents")
        page.get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(name)
        open_at(world, page, "/search?q=canal&dataset=papers")
        expect(page.get_by_role("link", name=name)).to_be_visible()
        open_at(world, page, f"/runs/{world.ingested}/stages/extract")
        expect(page.get_by_role("link", name=name)).to_be_visible()


def test_a_search_leads_to_the_passport_with_the_words_marked(world: World) -> None:
    with world.page() as page:
        page.get_by_role("searchbox").fill("kuhn zurich")
        page.keyboard.press("Enter")
        page.get_by_label("in", exact=True).select_option("papers")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("mark")).to_have_text(["Kühn", "Zürich"])
        page.get_by_role("link", name="letter.txt").click()
        expect(page.get_by_role("heading", name="Its way")).to_be_visible()
        for stage in ("crawl", "extract", "analyze", "index"):
            expect(page.locator(".tree strong", has_text=stage).first).to_be_visible()


def test_what_is_written_from_the_right_is_read_from_the_right(world: World) -> None:
    with world.page() as page:
        open_at(world, page, "/search?q=القناة&dataset=papers")
        expect(page.locator("mark")).to_have_text(["القناة"])
        for shown, direction in ((".hits p", "rtl"), ("#q", "rtl"), ("[name=q][aria-label]", "rtl"), ("h1", "ltr")):
            found = page.locator(shown).evaluate("one => getComputedStyle(one).direction")
            assert found == direction, shown
        expect(page.locator("bdi", has_text=ARABIC)).to_be_visible()


def test_a_graph_that_is_larger_than_its_place_begins_at_its_start(world: World) -> None:
    with world.page(viewport={"width": 360, "height": 700}) as page:
        open_at(world, page, f"/runs/{world.failed}")
        expect(page.locator("g[data-stage=fails] [data-counts]").first).to_have_text(re.compile("done"))
        start, graph = page.locator(".graph .start").bounding_box(), page.locator(".graph").bounding_box()
        assert start is not None
        assert graph is not None
        assert page.locator(".graph").evaluate("one => one.scrollWidth - one.clientWidth") > 0
        assert abs(start["x"] + start["width"] / 2 - graph["x"] - graph["width"] / 2) < 2


def test_what_comes_leaves_alone_what_is_as_it_was_and_only_a_new_state_is_read_aloud(world: World) -> None:
    waits = "<p class='left'>{}</p><ul><li><code>oaflow worker</code> {}</li></ul>"
    state = "<span aria-live='polite'>{}</span> begun {} ago"
    told = [("running", "1 s"), ("running", "2 s"), ("paused", "3 s")]

    def answer(route: Route) -> None:
        word, ago = told.pop(0) if told else ("paused", "4 s")
        facts = {"doing": waits.format(ago, word), "head": state.format(word, ago)}
        events = "".join(f"event: {name}\ndata: {fact}\n\n" for name, fact in facts.items())
        route.fulfill(content_type="text/event-stream", body=f"retry: 500\n\n{events}")

    with world.page() as page:
        page.route("**/events", answer)
        open_at(world, page, f"/runs/{world.ingested}")
        real = page.locator("[data-part=head]")
        assert page.request.get(page.url).text().count("aria-live") == 2
        expect(real).to_have_text("running begun 1 s ago")
        page.evaluate(
            "for (const one of document.querySelectorAll('code, [data-part=head] span')) one.wasThere = true;"
            "getSelection().selectAllChildren(document.querySelector('[data-part=doing] code'))"
        )
        expect(real).to_have_text("paused begun 4 s ago")
        expect(page.locator("[data-part=doing]")).to_have_text("4 soaflow worker paused")
        assert page.evaluate("getSelection().toString()") == "oaflow worker"
        assert page.locator("[data-part=head] span").evaluate("one => one.wasThere")
        assert page.locator("[data-part=head] [aria-live]").all_inner_texts() == ["paused"]


def test_a_second_click_on_a_button_is_not_sent(world: World) -> None:
    sent: list[str] = []

    def answer(route: Route) -> None:
        sent.append(route.request.url)
        route.fulfill(status=204)  # the page stays

    with world.page() as page:
        open_at(world, page, "/limits")
        page.route("**/limits", answer)
        page.get_by_label("queue/task").fill("slow/stages_for_tests.work")
        for _ in range(2):
            page.get_by_role("button", name="Limit").click()
        page.evaluate("new Promise(done => setTimeout(done, 300))")
        assert len(sent) == 1


def test_a_run_is_watched_paused_resumed_and_seen_to_its_end(world: World) -> None:
    with world.page() as page:
        followed = world.start("run", "slow.yml", "-d", "slow", "--workers", "1", said=subprocess.DEVNULL)
        try:
            # Nothing is loaded again: the run comes into the list, and its numbers come.
            page.get_by_role("link", name=re.compile("^slow-")).click(timeout=60_000)
            log = page.context.new_page()
            log.goto(f"{page.url}/log?stage=says")
            printed = log.locator(".log .entry").count()
            row = page.locator("tr[data-stage=work]")
            expect(row.locator("[data-counter=done]")).to_have_text(re.compile("^[1-9]"), timeout=30_000)
            expect(row.locator("[data-counter=rate]")).to_have_text(re.compile("^[0-9.]+$"), timeout=10_000)
            way = page.locator("g.edge.next[data-to=says] [data-count]")
            expect(way).to_have_text(re.compile("^[0-9]+ · [0-9.]+/s$"), timeout=10_000)
            page.get_by_role("button", name="Pause").click()
            expect(page.locator(".state").first).to_have_text("paused")
            expect(page.get_by_text("it is paused:")).to_be_visible()
            page.get_by_role("button", name="Resume").click()
            expect(page.locator(".state").first).to_have_text("running")
            expect(page.locator(".state").first).to_have_text("finished", timeout=120_000)
            expect(row.locator("[data-counter=done]")).to_have_text("120")
            expect(page.get_by_role("button", name="Pause")).to_be_hidden()
            # The graph says the same, and what went along its ways; a box leads to its stage.
            expect(page.locator("g[data-stage=work] [data-counts]").first).to_have_text("120 done")
            expect(page.locator("g.edge.next[data-to=work] [data-count]")).to_have_text("120")
            # More than there were when it was opened.
            # As many lines of stderr stand between them, in any order.
            said = log.locator(".log .entry").filter(has_text="of [bold]doc-")
            expect(said.nth(printed + 5)).to_be_visible()
            page.locator("g[data-stage=work] a").click()
            expect(page.get_by_role("heading", name="Jobs that were run, the newest first")).to_be_visible()
            assert followed.wait(30) == 0
        finally:
            followed.kill()


def test_a_cause_is_opened_by_keyboard_and_sent_again(world: World) -> None:
    with world.page() as page:
        open_at(world, page, f"/document?of=doc-1&run={world.failed}")
        page.get_by_role("link", name="what failed at fails, with tracebacks").click()
        expect(page.get_by_role("link", name=re.compile("2 failed"))).to_be_visible()
        open_at(world, page, f"/runs/{world.failed}")
        expect(page.locator("tr[data-stage=fails] td[data-counter=failed] a")).to_have_text("2")
        page.keyboard.press("Tab")
        expect(page.get_by_text("to the content")).to_be_focused()
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Failures").focus()
        page.keyboard.press("Enter")
        page.get_by_role("link", name=re.compile("2 failed")).focus()
        page.keyboard.press("Enter")
        expect(page.locator("article")).to_have_count(2)
        expect(page.locator("pre").first).to_contain_text("Traceback")
        page.get_by_role("button", name="Retry these").focus()
        page.keyboard.press("Enter")
        # Nobody works on this database now, and the page says what to type.
        expect(page.locator("tr[data-stage=fails] [data-counter=open]")).to_have_text("2")
        expect(page.get_by_text("no live worker can run")).to_be_visible()
        page.get_by_text("Cancel …").click()
        page.get_by_role("button", name="Cancel the run").click()
        expect(page.locator(".state").first).to_have_text("cancelled")


def seen(page: Page, *, hidden: bool) -> None:
    page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')) }",
        hidden,
    )


def test_a_page_that_nobody_sees_is_told_nothing_until_it_is_seen_again(world: World) -> None:
    with world.page() as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        events = f"{world.root}/runs/{world.ingested}/events"
        with page.expect_request(events):
            open_at(world, page, f"/runs/{world.ingested}")
        seen(page, hidden=True)
        seen(page, hidden=True)
        with page.expect_request(events):
            seen(page, hidden=False)
        assert asked.count(events) == 2


def test_a_page_that_a_proxy_refused_is_live_again_and_who_is_not_let_in_any_more_is_told(world: World) -> None:
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(status=502, body="the server is away")
        else:
            route.continue_()

    with world.page(refused=True) as page:
        page.route("**/events", answer)
        open_at(world, page, f"/runs/{world.failed}")
        away = page.locator("[data-part=away]")
        expect(away).to_have_text("Not connected to the server: what is shown may be old.")
        expect(away).to_be_hidden(timeout=20_000)
        expect(page.locator("g[data-stage=fails] [data-counts]").first).to_have_text(re.compile("done"))
        # In another tab.
        other = page.context.new_page()
        open_at(world, other, "/limits")
        other.get_by_role("button", name="Leave").click()
        expect(away).to_have_text("You are not let in any more: load the page again.", timeout=30_000)


def test_what_is_counted_is_asked_for_by_a_page_that_is_seen_and_why_it_cannot_be_is_shown(world: World) -> None:
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            real = route.fetch()
            route.fulfill(response=real, body=real.text().replace("</main>", '<p data-again="0.3">wait</p></main>'))
        else:
            route.fulfill(status=500, content_type="text/html", body="<main>it cannot be counted</main>")

    with world.page(refused=True) as page:
        page.route("**/limits", answer)
        page.add_init_script("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
        open_at(world, page, "/limits")
        # Begun later, and longer: when it is over, so is that of the page.
        page.evaluate("new Promise(done => setTimeout(done, 600))")
        assert len(asked) == 1
        seen(page, hidden=False)
        expect(page.get_by_text("it cannot be counted")).to_be_visible()
        expect(page.locator("[data-again]")).to_have_count(0)
        assert len(asked) == 2


def test_a_task_is_limited_and_plans_are_compared_from_the_page(world: World) -> None:
    with world.page() as page:
        page.get_by_role("link", name="Limits").click()
        page.get_by_label("queue/task").fill("slow/stages_for_tests.work")
        page.get_by_label("at once").fill("3")
        page.get_by_role("button", name="Limit").click()
        row = page.get_by_role("row", name="slow/stages_for_tests.work")
        expect(row).to_contain_text("operator")
        row.get_by_role("button", name="Clear").click()
        expect(page.get_by_text("Nothing is limited.")).to_be_visible()
        open_at(world, page, f"/runs/{world.failed}")
        page.get_by_role("link", name="Plan").click()
        page.get_by_label("from the plan of").fill(world.ingested)
        page.get_by_role("button", name="Compare").click()
        expect(page.locator(".changes")).to_contain_text("crawl")


def test_datasets_come_with_their_sizes_and_a_receipt_lists_its_documents(world: World) -> None:
    with world.page() as page:
        page.get_by_role("link", name="Datasets").click()
        row = page.get_by_role("row", name=re.compile("^papers"))
        expect(row.get_by_role("cell").first).to_have_text("5", timeout=30_000)
        open_at(world, page, f"/runs/{world.ingested}")
        page.get_by_role("link", name="Receipt").click()
        expect(page.get_by_text("Balanced: every document is accounted for.")).to_be_visible(timeout=30_000)
        page.get_by_role("link", name="unreadable").click()
        expect(page.get_by_role("link", name="empty.pdf")).to_be_visible(timeout=30_000)


def test_what_stands_still_without_scripts_is_all_there(world: World) -> None:
    with world.page(java_script_enabled=False, reduced_motion="reduce") as page:
        open_at(world, page, f"/runs/{world.ingested}")
        expect(page.locator("tr[data-stage=extract] [data-counter=done]")).to_have_text("5")


@pytest.mark.skipif(PICTURES is None, reason="pictures of the docs are made by make pictures")
def test_pictures(world: World) -> None:
    folder = Path(PICTURES or "")
    for scheme in ("light", "dark"):
        with world.page(color_scheme=scheme, viewport={"width": 1200, "height": 700}) as page:
            open_at(world, page, f"/runs/{world.ingested}")
            expect(page.locator("g[data-stage=extract] [data-counts]").first).to_have_text(re.compile("done"))
            page.screenshot(path=folder / f"web-run-{scheme}.png", full_page=True)
