"""
What the page of a key says that is checked, is checked: for each code that it names, a pipeline that gets it.
"""

import re
from pathlib import Path

import pytest

from oaflow.compiler import check_data
from oaflow.loader import load_text

KEYS = Path(__file__).parents[2] / "docs" / "reference" / "keys"


def of(stages: str, *lines: str) -> str:
    """
    A pipeline with these stages, and these lines before them.
    """
    return "\n".join(["pipeline: p", *lines, f"stages: {{{stages}}}"])


def stage(keys: str, *lines: str) -> str:
    return of(f"a: {{task: m.a, {keys}}}", *lines)


def edges(written: str, *lines: str) -> str:
    return of(f"a: {{task: m.a, next: {written}}}, b: {{task: m.b}}, c: {{task: m.c}}", "start: [a, b, c]", *lines)


def param(keys: str) -> str:
    return of("a: {task: m.a}", f"params: {{x: {{{keys}}}}}")


def tried(test: str) -> str:
    return of("a: {task: m.a, next: b}, b: {task: m.b}", f"tests: [{{{test}}}]")


TEXT = "params: {x: {type: string}}"
SWITCH = "params: {x: {type: bool}}"
EXTERNAL = "external: true, queue: q, "
JOIN = "a: {task: m.a}, b: {task: m.b, join: run, "

CLAIMS = {
    "edge/else": {
        "OAF311": edges("[b, {to: c, else: true}]"),
        "OAF312": edges("[{to: a, recurse: 1, when: job.context.x}, {to: b, else: true}, {to: c, else: true}]"),
        "OAF131": edges("[{to: b, else: true, when: job.context.x}]"),
    },
    "edge/load": {
        "OAF207": edges("[{to: b, where: \"contains(e.bodyText, 'x')\"}]"),
        "OAF132": edges("[{to: b, load: true}]"),
    },
    "edge/port": {
        "OAF124": edges("{x: {to: b, port: y}}"),
        "OAF104": edges("[{to: b, port: A B}]"),
        "OAF105": edges("[{to: b, port: when}]"),
    },
    "edge/recurse": {
        "OAF301": of("a: {task: m.a, next: b}, b: {task: m.b, next: c}, c: {task: m.c, next: b}"),
        "OAF302": edges("{to: b, recurse: 2}"),
        "OAF108": edges("{to: a, recurse: 0}"),
    },
    "edge/to": {
        "OAF102": edges("[{when: job.context.x}]"),
        "OAF201": edges("[{to: d}]"),
        "OAF309": of("a: {task: m.a, next: {to: b}}, b: {task: m.b, join: run}"),
        "OAF115": edges("[{to: '${params.x}'}]", TEXT),
    },
    "edge/when": {"OAF217": edges("[{to: b, when: \"'yes'\"}]")},
    "edge/where": {
        "OAF213": edges("[{to: b, where: {langauge: eng}}]"),
        "OAF214": edges("[{to: b, where: {schema: Emial}}]"),
        "OAF215": edges("[{to: b, where: \"e.author == 'anna'\"}]"),
        "OAF207": edges("[{to: b, where: \"contains(e.bodyText, 'x')\"}]"),
        "OAF220": edges("[{to: b, where: {language: [eng, '']}}]"),
        "OAF315": edges("[{to: b, where: {schema: Person, fileName: '*.vcf'}}]"),
    },
    "param/choices": {"OAF102": param("type: choice"), "OAF120": param("type: int, choices: [a]")},
    "param/default": {"OAF120": param("type: int, default: a"), "OAF117": param("required: true, default: a")},
    "param/env": {"OAF119": of("a: {task: m.a}", "params: {api_key: {env: KEY}}")},
    "param/help": {"OAF103": param("help: 3")},
    "param/of": {"OAF117": param("type: int, of: string"), "OAF120": param("type: list, of: int, default: [a]")},
    "param/positional": {
        "OAF231": of("a: {task: m.a}", "params: {x: {positional: true}, y: {positional: true}}"),
    },
    "param/remember": {"OAF103": param("remember: yes")},
    "param/required": {"OAF117": param("required: true, default: a"), "OAF103": param("required: yes")},
    "param/type": {
        "OAF110": param("type: number"),
        "OAF120": param("type: int, default: a"),
        "OAF204": stage("timeout: '${params.x}'", TEXT),
    },
    "pipeline/defaults": {"OAF101": of("a: {task: m.a}", "defaults: {task: m.a}")},
    "pipeline/description": {"OAF103": of("a: {task: m.a}", "description: 3")},
    "pipeline/oaflow": {"OAF121": of("a: {task: m.a}", "oaflow: 2")},
    "pipeline/params": {
        "OAF202": stage("with: {y: '${params.z}'}", TEXT),
        "OAF204": stage("timeout: '${params.x}'", TEXT),
        "OAF115": stage("queue: '${params.x}'", TEXT),
        "OAF116": stage("with: {y: '${HOME}'}", TEXT),
        "OAF208": edges("[{to: b, when: \"${params.x} == 'y'\"}]", TEXT),
        "OAF119": of("a: {task: m.a}", "params: {api_key: {}}"),
    },
    "pipeline/pipeline": {
        "OAF102": "stages: {a: {task: m.a}}",
        "OAF104": "pipeline: A b\nstages: {a: {task: m.a}}",
        "OAF127": "pipeline: р\nstages: {a: {task: m.a}}",
    },
    "pipeline/stages": {
        "OAF112": of(""),
        "OAF104": of("A: {task: m.a}"),
        "OAF105": of("drop: {task: m.a}"),
        "OAF010": of("a: {task: m.a}, a: {task: m.a}"),
        "OAF303": of("a: {task: m.a}, b: {task: m.b}", "start: a"),
    },
    "pipeline/start": {
        "OAF304": of("a: {task: m.a}, b: {task: m.b}"),
        "OAF305": of("a: {task: m.a, next: {to: b, recurse: 1}}, b: {task: m.b, next: a}"),
        "OAF201": of("a: {task: m.a}", "start: z"),
        "OAF303": of("a: {task: m.a}, b: {task: m.b}", "start: a"),
        "OAF308": stage("enabled: false"),
    },
    "pipeline/tests": {
        "OAF201": tried("at: z, expect: {}"),
        "OAF230": tried("at: a, port: z, expect: {}"),
        "OAF213": tried("at: a, job: {entities: [{schema: Email, properties: {langauge: eng}}]}, expect: {}"),
        "OAF214": tried("at: a, job: {entities: [{schema: Emial}]}, expect: {}"),
    },
    "stage/choose": {
        "OAF110": stage("choose: some"),
        "OAF314": of("a: {task: m.a, choose: first, next: b}, b: {task: m.b}"),
        "OAF313": of(
            "a: {task: m.a, choose: first, next: [b, {to: c, where: {schema: Email}}]}, b: {task: m.b}, c: {task: m.c}"
        ),
    },
    "stage/collect": {
        "OAF108": stage("collect: 0"),
        "OAF129": stage("collect: 3, split: 2"),
        "OAF128": of(JOIN + "collect: 2}"),
        "OAF106": stage("collect: {size: 2, wait: soon}"),
    },
    "stage/concurrency": {
        "OAF108": stage("concurrency: 0"),
        "OAF204": stage("concurrency: '${params.x}'", TEXT),
        "OAF113": stage(EXTERNAL + "concurrency: 1"),
    },
    "stage/description": {"OAF103": stage("description: 3")},
    "stage/emit": {"OAF110": stage("emit: sometimes")},
    "stage/enabled": {
        "OAF307": of("a: {task: m.a, next: b}, b: {task: m.b, enabled: params.x}", SWITCH),
        "OAF308": stage("enabled: false"),
    },
    "stage/external": {"OAF114": stage("external: true"), "OAF113": stage(EXTERNAL + "retry: 1")},
    "stage/join": {
        "OAF201": of("a: {task: m.a}, b: {task: m.b, join: [z]}"),
        "OAF309": of("a: {task: m.a, next: b}, b: {task: m.b, join: run}"),
        "OAF310": of("a: {task: m.a}, b: {task: m.b, join: [c], next: c}, c: {task: m.c}"),
        "OAF128": of(JOIN + "split: 2}"),
    },
    "stage/memory": {
        "OAF107": stage("memory: much"),
        "OAF108": stage("memory: 0B"),
        "OAF113": stage(EXTERNAL + "memory: 1GiB"),
    },
    "stage/next": {
        "OAF201": edges("z"),
        "OAF122": edges("[drop, b]"),
        "OAF123": edges("[]"),
        "OAF124": edges("{x: {to: b, port: y}}"),
        "OAF125": edges("[b, b]"),
        "OAF301": of("a: {task: m.a, next: b}, b: {task: m.b, next: c}, c: {task: m.c, next: b}"),
    },
    "stage/on_error": {
        "OAF201": stage("on_error: z"),
        "OAF306": of("a: {task: m.a, next: b}, b: {task: m.b, on_error: a}"),
        "OAF309": of("a: {task: m.a, on_error: b}, b: {task: m.b, join: run}"),
    },
    "stage/origin": {"OAF205": of("a: {task: m.a, origin: x, next: b}, b: {task: m.b, origin: x}")},
    "stage/priority": {"OAF103": stage("priority: high"), "OAF108": stage("priority: 99999999999")},
    "stage/queue": {"OAF109": stage("queue: " + 41 * "q"), "OAF114": stage("external: true")},
    "stage/rate": {
        "OAF130": stage("rate: often"),
        "OAF204": stage("rate: '${params.x}'", SWITCH),
        "OAF113": stage(EXTERNAL + "rate: 1/s"),
    },
    "stage/retry": {
        "OAF108": stage("retry: {max: -1}"),
        "OAF106": stage("retry: {base: soon}"),
        "OAF113": stage(EXTERNAL + "retry: 1"),
    },
    "stage/split": {
        "OAF108": stage("split: 0"),
        "OAF129": stage("collect: 3, split: 2"),
        "OAF128": of(JOIN + "split: 2}"),
    },
    "stage/timeout": {
        "OAF106": stage("timeout: soon"),
        "OAF108": stage("timeout: 0s"),
        "OAF204": stage("timeout: '${params.x}'", TEXT),
        "OAF113": stage(EXTERNAL + "timeout: 1m"),
    },
    "stage/with": {
        "OAF202": stage("with: {y: '${params.z}'}", TEXT),
        "OAF204": stage("with: {y: 'a ${params.x}'}", "params: {x: {type: list}}"),
    },
    "test/at": {"OAF102": tried("expect: {}"), "OAF201": tried("at: z, expect: {}")},
    "test/description": {"OAF103": tried("at: a, description: 3, expect: {}")},
    "test/expect": {"OAF102": tried("at: a"), "OAF201": tried("at: a, expect: {z: 1}")},
    "test/job": {
        "OAF101": tried("at: a, job: {paylaod: {}}, expect: {}"),
        "OAF213": tried("at: a, job: {entities: [{schema: Email, properties: {langauge: eng}}]}, expect: {}"),
        "OAF214": tried("at: a, job: {entities: [{schema: Emial}]}, expect: {}"),
    },
    "test/params": {
        "OAF202": tried("at: a, params: {z: 1}, expect: {}"),
        "OAF120": of("a: {task: m.a}", "params: {x: {type: int}}\ntests: [{at: a, params: {x: many}, expect: {}}]"),
    },
    "test/port": {"OAF230": tried("at: a, port: z, expect: {}")},
}


def _claimed(page: Path) -> set[str]:
    """
    The codes that a page names. Of functions and of expressions as such the tests are elsewhere: those need a module,
    and stand on a page as a range.
    """
    checked = re.search(r"## Checked\n(.*?)\n## ", page.read_text("utf-8"), re.DOTALL)
    assert checked is not None
    named = re.sub(r"\[OAF206\].* to \[OAF221\]\S*", "", checked[1])
    return {code for code in re.findall(r"\[(OAF\d{3})\]", named) if not code.startswith("OAF4")}


def test_each_code_that_a_page_names_has_its_pipeline_here():
    claimed = {f"{page.parent.name}/{page.stem}": _claimed(page) for page in KEYS.glob("*/*.md")}

    assert {key: codes for key, codes in claimed.items() if codes} == {
        key: set(pipelines) for key, pipelines in CLAIMS.items()
    }


@pytest.mark.parametrize("key", CLAIMS)
def test_what_a_page_says_that_is_checked_is_checked(key: str):
    for code, text in CLAIMS[key].items():
        loaded = load_text(text)
        found = loaded.diagnostics or check_data(loaded.data, loaded.spans).diagnostics

        assert code in {one.code for one in found}, text
