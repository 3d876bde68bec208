"""
The pool with real processes and real kills.
"""

import asyncio
import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
import uvloop

from oaflow.plan import PlannedEdge
from oaflow.runtime import server, spawner, temporary
from oaflow.runtime.attempt import CHUNK_JOBS
from oaflow.runtime.held import crash_error
from oaflow.runtime.pool import LAST_WORDS, STOP_SECONDS
from oaflow.runtime.processes import resident
from oaflow.runtime.programs import descendants
from oaflow.runtime.staleness import Look
from oaflow.runtime.temporary import TempFolder
from tests.integration.pools import MODULE, assigned, bound_stage, plan_of, pool_of, until

# Longer than any test waits: what is still there after that was not waited for.
LONG = 120.0


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def run(body):
    async def guarded():
        async with asyncio.timeout(60):
            await body

    asyncio.run(guarded())


def test_what_a_stage_returns_is_handed_over(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            pool.send(pool.executors[0], [assigned(1, "fine"), assigned(2, "fine")])
            await until(lambda: len(heard.done()) == 2)
            first = heard.handovers[0]
            assert (first.job, first.outcome, [way.stage for way in first.successors]) == (1, "done", ["end"])
            assert not heard.deaths
            assert pool.executors[0].load == 0

    run(body())


def test_the_death_of_an_executor_is_charged_to_the_job_that_it_was_at(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            victim = pool.executors[0]
            pool.send(victim, [assigned(1, "fine"), assigned(2, "sleep"), assigned(3, "fine"), assigned(4, "fine")])
            await until(lambda: victim.running and victim.running[0] == 2 and heard.done() == [1])
            os.kill(victim.pid, signal.SIGKILL)
            await until(lambda: heard.deaths)
            executor, culprit, death, returned = heard.deaths[0]
            assert executor is victim
            assert culprit is not None
            assert culprit.job == 2
            assert (death.kind, death.signal) == ("signal", "SIGKILL")
            assert [assignment.job for assignment in returned] == [3, 4]
            assert heard.done() == [1]
            await until(lambda: pool.executors)
            pool.send(pool.executors[0], list(returned))
            await until(lambda: heard.done() == [1, 3, 4])

    run(body())


@pytest.mark.parametrize(
    ("act", "kind", "name", "code"),
    [("segfault", "signal", "SIGSEGV", None), ("leave", "exit", None, 3)],
)
def test_how_an_executor_ended_is_said(tmp_path, act, kind, name, code):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            pool.send(pool.executors[0], [assigned(1, act), assigned(2, "fine")])
            await until(lambda: heard.deaths)
            _, culprit, death, returned = heard.deaths[0]
            assert culprit is not None
            assert culprit.job == 1
            assert (death.kind, death.signal, death.code) == (kind, name, code)
            assert [assignment.job for assignment in returned] == [2]
            assert death.rss is not None
            assert 10 << 20 < death.rss < 1 << 30
            if act == "segfault":  # the author sees where
                assert death.dump is not None
                assert death.dump.splitlines()[-1].endswith("in string_at")
                assert "pool_stages.py" in death.dump
                assert "oaflow/runtime" not in death.dump

    run(body())


def test_a_stage_that_calls_sys_exit_has_failed_and_its_executor_lives(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            pool.send(pool.executors[0], [assigned(1, "sys_exit"), assigned(2, "fine")])
            await until(lambda: len(heard.done()) == 2)
            assert [handover.outcome for handover in heard.handovers] == ["failed", "done"]
            assert not heard.deaths

    run(body())


def test_an_endless_loop_ends_at_its_timeout(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            began = time.monotonic()
            pool.send(pool.executors[0], [assigned(1, "loop", timeout=1.0), assigned(2, "fine")])
            await until(lambda: heard.deaths)
            assert time.monotonic() - began >= 1.0
            _, culprit, death, returned = heard.deaths[0]
            assert culprit is not None
            assert (culprit.job, death.kind, returned) == (1, "timeout", [])
            assert heard.back == [2]
            # Where it was then: the last frame is that of the stage.
            assert death.dump is not None
            begins, *_, last = death.dump.splitlines()
            assert begins == "it was here (most recent call last):"
            assert "pool_stages.py" in last

    run(body())


def test_what_would_wait_behind_a_job_that_takes_long_comes_back_also_what_was_sent_meanwhile(tmp_path):
    async def body():
        async with pool_of(tmp_path, size=2) as (pool, heard):
            go, (slow, other) = tmp_path / "go", pool.executors
            pool.send(slow, [assigned(1, "wait", on=str(go)), assigned(2, "fine"), assigned(3, "fine")])
            await until(lambda: slow.running)
            pool.send(slow, [assigned(4, "fine")])
            await until(lambda: sorted(heard.done()) == [2, 3, 4])
            assert (heard.back, [*slow.in_hand]) == ([2, 3, 4], [1])
            assert (slow.is_long_at_it, other.is_long_at_it) == (True, False)
            go.touch()
            await until(lambda: not slow.load)
            pool.send(slow, [assigned(5, "fine")])
            await until(lambda: sorted(heard.done()) == [1, 2, 3, 4, 5])

    run(body())


def test_a_stage_that_eats_memory_is_stopped_at_its_limit(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            pool.send(pool.executors[0], [assigned(1, "hog", memory=400 << 20)])
            await until(lambda: heard.deaths)
            _, culprit, death, _ = heard.deaths[0]
            assert culprit is not None
            assert (culprit.job, death.kind) == (1, "memory")
            assert death.rss is not None
            assert death.rss > 400 << 20

    run(body())


def test_the_programs_that_a_stage_starts_count_towards_its_limit_of_memory_and_end_with_it(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            (executor,) = pool.executors
            pool.send(executor, [assigned(1, "hog_elsewhere", memory=300 << 20)])
            await until(lambda: list(descendants(executor.pid)))
            below = list(descendants(executor.pid))
            await until(lambda: heard.deaths)
            _, culprit, death, _ = heard.deaths[0]
            assert culprit is not None
            assert (culprit.job, death.kind) == (1, "memory")
            assert death.rss is not None
            assert death.rss > 300 << 20
            assert "above its memory limit" in crash_error(death)["message"]
            await until(lambda: not any(map(resident, below)))

    run(body())


def test_what_an_earlier_job_left_running_is_not_charged_to_a_later_one(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            later = [assigned(2, "sleep", seconds=1, memory=300 << 20)]
            pool.send(pool.executors[0], [assigned(1, "hog_left_behind"), *later])
            await until(lambda: len(heard.handovers) == 2 or heard.deaths)
            assert [handover.outcome for handover in heard.handovers] == ["done", "done"]

    run(body())


def test_what_forked_processes_share_with_their_stage_is_counted_once(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            pool.send(pool.executors[0], [assigned(1, "forks", memory=400 << 20)])
            await until(lambda: heard.handovers or heard.deaths)
            assert [handover.outcome for handover in heard.handovers] == ["done"]

    run(body())


def test_a_stage_that_prints_ten_megabytes_corrupts_nothing_and_its_lines_are_its_own(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            pool.send(pool.executors[0], [assigned(1, "fine"), assigned(2, "shout"), assigned(3, "fine")])
            await until(lambda: len(heard.done()) == 3)
            await until(lambda: any(text == "no end of line" for _, text, _ in heard.lines))
            assert {handover.outcome for handover in heard.handovers} == {"done"}
            loud = [line for line in heard.lines if line[1] == "x" * 99]
            assert len(loud) == 100_000
            assert {job for _, _, job in loud} <= {2, None}
            assert ("stderr", "to stderr") in {(stream, text) for stream, text, _ in heard.lines}
            assert not any("\x1e" in text for _, text, _ in heard.lines)

    run(body())


def test_a_stage_that_closes_its_output_silences_only_itself(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            pool.send(pool.executors[0], [assigned(1, "silence"), assigned(2, "shout"), assigned(3, "fine")])
            await until(lambda: len(heard.done()) == 3)
            assert {handover.outcome for handover in heard.handovers} == {"done"}
            await until(lambda: ("stderr", "to stderr", 2) in heard.lines)

    run(body())


def test_a_line_belongs_to_the_job_that_prints_it(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            pool.send(pool.executors[0], [assigned(1, "start_another")])
            await until(lambda: heard.deaths)
            assert [job for _, text, job in heard.lines if text.startswith("child")] == [1]

    run(body())


TALKING = """
import logging
from pathlib import Path
from oaflow import Job, stage

logging.basicConfig(level=logging.INFO)  # keeps the stderr that there is now, as many libraries do

@stage
def talk(job: Job) -> None:
    logging.info("logged at %s", job.context["place"])
    Path(__file__).with_name(job.context["place"]).touch()
"""


def test_what_a_handler_of_logging_writes_that_was_made_before_the_fork_belongs_to_its_job(tmp_path, monkeypatch):
    (tmp_path / "talking.py").write_text(TALKING)
    monkeypatch.syspath_prepend(str(tmp_path))
    plan = plan_of(bound_stage("act", "talking.talk"))

    async def body():
        async with pool_of(tmp_path / "home") as (pool, heard):
            pool.know("run-2", plan.to_json())
            assert (await pool.prober.probe(["talking.talk"]))["talking.talk"].ok
            await until(lambda: pool.executors)
            os.kill(pool.executors[0].pid, signal.SIGKILL)  # the next one is forked with the module loaded
            await until(lambda: heard.deaths and pool.executors)
            jobs = [assigned(number, "talk", place=place)._replace(run="run-2") for number, place in enumerate("ab", 1)]
            executor = pool.executors[0]
            pool.send(executor, jobs)
            # Read only when both are done: what does not say itself whose it is would be nobody's.
            while executor.running is not None or not (tmp_path / "b").exists():
                time.sleep(0.01)
            await until(lambda: len(heard.done()) == 2)
            await until(lambda: len([text for _, text, _ in heard.lines if "logged" in text]) == 2)
            assert ("stderr", "INFO:root:logged at a", 1) in heard.lines
            assert ("stderr", "INFO:root:logged at b", 2) in heard.lines

    run(body())


def test_what_is_read_after_the_end_of_its_job_still_belongs_to_it(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            executor = pool.executors[0]
            pool.send(executor, [assigned(1, "fine"), assigned(2, "fine")])
            await until(lambda: len(heard.done()) == 2)
            # As of a pipe that the loop comes to after the wire on which the jobs were handed over.
            pool.printed(executor, "stdout", "late", 1, None)
            assert heard.lines[-1] == ("stdout", "late", 1)

    run(body())


def test_what_a_stage_has_started_dies_with_its_executor(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            pool.send(pool.executors[0], [assigned(1, "start_another")])
            await until(lambda: heard.deaths)
            child = next(int(text.split()[1]) for _, text, _ in heard.lines if text.startswith("child"))
            await until(lambda: not alive(child), seconds=5)

    run(body())


def test_killing_the_forkserver_costs_nothing(tmp_path):
    async def body():
        async with pool_of(tmp_path, size=2) as (pool, heard):
            old = list(pool.executors)
            pool.send(old[0], [assigned(1, "sleep", seconds=1.0), assigned(2, "fine")])
            pool.send(old[1], [assigned(3, "sleep", seconds=1.0)])
            await until(lambda: all(executor.running for executor in old))
            os.kill(pool.forkserver, signal.SIGKILL)
            await until(lambda: len(pool.executors) == 2 and not set(pool.executors) & set(old))
            pool.send(pool.executors[0], [assigned(4, "fine")])
            await until(lambda: sorted(heard.done()) == [1, 2, 3, 4])
            assert not heard.deaths
            assert {handover.outcome for handover in heard.handovers} == {"done"}
            await until(lambda: not any(alive(executor.pid) for executor in old))

    run(body())


def test_a_forkserver_that_cannot_be_started_is_tried_again(tmp_path, monkeypatch):
    refused, popen = [], subprocess.Popen

    def full(*arguments, **named):
        if len(refused) < 5:
            refused.append(len(os.listdir("/proc/self/fd")))
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return popen(*arguments, **named)

    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            (old,) = pool.executors
            monkeypatch.setattr(server.subprocess, "Popen", full)
            os.kill(pool.forkserver, signal.SIGKILL)
            await until(lambda: pool.executors and old not in pool.executors)
            pool.send(pool.executors[0], [assigned(1, "fine")])
            await until(lambda: heard.done() == [1])
            assert refused[4] <= refused[3]  # nothing of a try is left open

    monkeypatch.setattr(spawner, "REVIVE_SECONDS", 0.1)
    run(body())


def test_a_forkserver_that_dies_while_several_executors_are_asked_of_it_costs_none_of_them(tmp_path, monkeypatch):
    send, killed = server.Server.send, []

    def send_to_the_dead(self, *message, descriptors=()):
        if message[0] == "fork" and not killed:
            killed.append(self.pid)
            os.kill(self.pid, signal.SIGKILL)
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        send(self, *message, descriptors=descriptors)

    async def body():
        async with pool_of(tmp_path, size=3) as (pool, _):
            await until(lambda: len(pool.executors) == 3)

    monkeypatch.setattr(server.Server, "send", send_to_the_dead)
    run(body())
    assert killed


def test_an_executor_whose_forkserver_is_gone_is_still_missed_when_it_dies(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            victim = pool.executors[0]
            pool.send(victim, [assigned(1, "sleep"), assigned(2, "fine")])
            await until(lambda: victim.running)
            os.kill(pool.forkserver, signal.SIGKILL)
            await until(lambda: pool.executors)
            os.kill(victim.pid, signal.SIGKILL)
            await until(lambda: heard.deaths)
            _, culprit, death, returned = heard.deaths[0]
            assert culprit is not None
            assert (culprit.job, death.kind, [a.job for a in returned]) == (1, "signal", [2])

    run(body())


def test_of_a_thousand_jobs_of_which_five_crash_exactly_five_are_charged(tmp_path):
    poison = {101, 333, 334, 700, 999}

    async def body():
        async with pool_of(tmp_path, size=4) as (pool, heard):
            todo = [assigned(job, "segfault" if job in poison else "fine") for job in range(1, 1001)]
            seen = 0
            charged: list[int] = []
            while len(heard.done()) + len(charged) < 1000:
                for executor in pool.executors:
                    while todo and executor.load < 20:
                        pool.send(executor, todo[:5])
                        del todo[:5]
                await asyncio.sleep(0.005)
                for _, culprit, _, returned in heard.deaths[seen:]:
                    seen += 1
                    if culprit is not None:
                        charged.append(culprit.job)
                    todo += returned
            assert sorted(charged) == sorted(poison)
            assert sorted(heard.done()) == sorted(set(range(1, 1001)) - poison)

    run(body())


def test_an_executor_is_replaced_after_so_many_jobs(tmp_path):
    async def body():
        async with pool_of(tmp_path, recycle_after=3) as (pool, heard):
            old = pool.executors[0]
            pool.send(old, [assigned(job, "fine") for job in (1, 2, 3)])
            await until(lambda: pool.executors and pool.executors[0] is not old and len(heard.done()) == 3)
            await until(lambda: not alive(old.pid))
            assert not heard.deaths

    run(body())


def test_the_temporary_files_of_a_job_are_gone_after_it_also_after_a_kill(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            executor = pool.executors[0]
            pool.send(executor, [assigned(1, "litter")])
            await until(lambda: heard.done() == [1])
            where = Path(orjson.loads(heard.handovers[0].successors[0].args)["payload"]["context"]["where"])
            assert where.is_relative_to(tmp_path)
            await until(lambda: not list(where.iterdir()))
            pool.send(executor, [assigned(2, "litter_and_die")])
            await until(lambda: heard.deaths)
            assert not where.exists()
        assert not list((tmp_path / "temp").iterdir())

    run(body())


def test_what_a_killed_pool_left_is_removed_by_the_next(tmp_path):
    left = tmp_path / "temp" / "host-1-2"
    left.mkdir(parents=True)
    (left / ".lock").touch()
    (left / "file").write_text("x")

    async def body():
        async with pool_of(tmp_path):
            assert not left.exists()

    run(body())


def test_a_folder_that_is_being_made_is_no_left_one(tmp_path, monkeypatch):
    first, second = TempFolder(tmp_path), TempFolder(tmp_path)
    flock, opened = fcntl.flock, []

    def meanwhile(lock, how):
        if not opened:
            opened.append(second)
            second.open()
        flock(lock, how)

    monkeypatch.setattr(temporary.fcntl, "flock", meanwhile)
    first.open()
    assert (first.path.is_dir(), second.path.is_dir()) == (True, True)
    third = TempFolder(tmp_path)
    third.open()
    assert set(tmp_path.iterdir()) == {first.path, second.path, third.path}
    for folder in (first, second, third):
        folder.close()


def test_a_kill_on_demand_is_nobodys_fault(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            pool.send(pool.executors[0], [assigned(1, "sleep")])
            await until(lambda: pool.executors[0].running)
            pool.kill(pool.executors[0], "the run was cancelled")
            await until(lambda: heard.deaths)
            _, culprit, death, _ = heard.deaths[0]
            assert culprit is not None
            assert (culprit.job, death.kind, death.because) == (1, "killed", "the run was cancelled")

    run(body())


def test_a_stream_waits_for_four_acknowledgements(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            pool.send(pool.executors[0], [assigned(1, "", stage="stream", count=10 * CHUNK_JOBS)])
            await until(lambda: len(heard.handovers) == 4)
            await asyncio.sleep(0.2)
            assert [handover.position for handover in heard.handovers] == [CHUNK_JOBS * part for part in range(4)]
            for position in range(0, 10 * CHUNK_JOBS, CHUNK_JOBS):
                pool.acknowledge(1, position)
            await until(lambda: heard.done() == [1])
            assert sum(len(handover.successors) for handover in heard.handovers) == 10 * CHUNK_JOBS
            assert [handover.outcome for handover in heard.handovers] == ["chunk"] * 10 + ["done"]

    run(body())


def test_what_a_stream_has_yielded_does_not_wait_while_it_rests(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            on = tmp_path / "go on"
            pool.send(pool.executors[0], [assigned(1, "", stage="stream", count=15, rest=10, on=str(on))])
            await until(lambda: heard.handovers)
            assert (heard.handovers[0].outcome, len(heard.handovers[0].successors)) == ("chunk", 10)
            on.touch()
            pool.acknowledge(1, 0)
            await until(lambda: heard.done() == [1])
            assert heard.handovers[1].position == 10
            assert sum(len(handover.successors) for handover in heard.handovers) == 15

    run(body())


def wakings(pid: int) -> int:
    """
    How often the threads of a process have gone to sleep.
    """
    texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(text.partition("voluntary_ctxt_switches:")[2].split()[0]) for text in texts)


def test_an_executor_without_work_sleeps_and_is_watched_again_when_there_is_some(tmp_path):
    async def asleep(pid: int) -> bool:
        before = wakings(pid)
        await asyncio.sleep(0.3)
        return wakings(pid) == before

    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            on, pid = tmp_path / "go on", pool.executors[0].pid
            while not await asleep(pid):
                pass
            pool.send(pool.executors[0], [assigned(1, "", stage="stream", count=15, rest=10, on=str(on))])
            await until(lambda: heard.handovers)
            assert not await asleep(pid)
            on.touch()
            pool.acknowledge(1, 0)
            await until(lambda: heard.done() == [1])
            while not await asleep(pid):
                pass
            await asyncio.sleep(0.2)  # the pool has nothing to watch either
            pool.send(pool.executors[0], [assigned(2, "sleep", seconds=LONG, timeout=0.2)])
            await until(lambda: heard.deaths)
            assert heard.deaths[0][2].kind == "timeout"

    run(body())


def test_a_stream_that_cannot_be_handed_over_fails_and_the_next_one_does_not_wait_while_it_rests(tmp_path):
    async def body():
        locked = plan_of(
            bound_stage("stream", f"{MODULE}.stream", PlannedEdge(to="end"), emit="stream"),
            bound_stage("end", f"{MODULE}.act", lock="job.context.number < 'a'"),
        )
        async with pool_of(tmp_path) as (pool, heard):
            pool.know("run-2", locked.to_json())
            executor, on = pool.executors[0], tmp_path / "go on"
            refused = assigned(1, "", stage="stream", count=3, rest=2, seconds=0.5)._replace(run="run-2")

            pool.send(executor, [refused, assigned(2, "", stage="stream", count=15, rest=10, on=str(on))])
            await until(lambda: len(heard.handovers) == 2)

            assert [handover.outcome for handover in heard.handovers] == ["failed", "chunk"]
            assert orjson.loads(heard.handovers[0].detail)["error"]["type"] == "LockError"
            on.touch()
            pool.acknowledge(2, 0)
            await until(lambda: heard.done() == [1, 2])
            assert not any("Traceback" in text for _, text, _ in heard.lines)

    run(body())


def test_another_works_in_the_place_of_an_executor_whose_stream_rests_and_its_time_stands_still(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            (first,) = pool.executors
            pool.send(first, [assigned(1, "", stage="stream", count=5 * CHUNK_JOBS, timeout=6.0)])
            await until(lambda: len(heard.handovers) == 4)

            assert pool.rest(1)
            await until(lambda: pool.executors and first not in pool.executors)
            (second,) = pool.executors
            pool.send(second, [assigned(2, "fine")])
            await until(lambda: heard.done() == [2])
            pool.send(second, [assigned(3, "", stage="stream", count=5 * CHUNK_JOBS)])
            await until(lambda: len(heard.handovers) == 9)
            assert not pool.rest(3)  # as many rest as work: one
            await asyncio.sleep(6.5)
            assert not heard.deaths

            pool.go_on(1)
            for job in (1, 3):
                for position in range(0, 5 * CHUNK_JOBS, CHUNK_JOBS):
                    pool.acknowledge(job, position)
            await until(lambda: set(heard.done()) == {1, 2, 3})
            assert not heard.deaths
            assert not pool.rest(1)

    run(body())


def test_a_result_does_not_wait_behind_a_slow_job(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, heard):
            pool.send(pool.executors[0], [assigned(job, "fine") for job in range(1, 6)])
            await until(lambda: len(heard.done()) == 5)
            pool.send(pool.executors[0], [assigned(6, "fine"), assigned(7, "sleep", seconds=LONG)])
            await until(lambda: heard.done()[-1] == 6)

    run(body())


WORKER = """
import asyncio, sys
from pathlib import Path
from tests.integration.pools import assigned, pool_of, until

async def main():
    async with pool_of(Path(sys.argv[1]), size=2) as (pool, heard):
        pool.send(pool.executors[0], [assigned(1, "sleep")])
        await until(lambda: pool.executors[0].running)
        print(pool.forkserver, *(executor.pid for executor in pool.executors), flush=True)
        await asyncio.sleep(120)

asyncio.run(main())
"""


def test_everything_ends_when_the_worker_is_gone(tmp_path):
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    pids = [int(word) for word in worker.stdout.readline().split()]
    assert len(pids) == 3
    worker.kill()
    worker.wait()
    # One of them is in a function that goes on for longer than this waits.
    asyncio.run(until(lambda: not any(map(alive, pids))))


def test_a_probe_says_what_a_task_is(tmp_path):
    async def body():
        async with pool_of(tmp_path) as (pool, _):
            found = await pool.prober.probe(
                [f"{MODULE}.act", f"{MODULE}.in_the_loop", f"{MODULE}.undecorated", f"{MODULE}.none", "nowhere.task"]
            )
            act, in_the_loop, undecorated, none, nowhere = found.values()
            assert (act.ok, act.is_async) == (True, False)
            assert act.version
            assert (in_the_loop.ok, in_the_loop.is_async) == (True, True)
            assert "not decorated" in str(undecorated.error)
            assert "no function 'none'" in str(none.error)
            assert "No module named 'nowhere'" in str(nowhere.error)
            await until(lambda: len(pool.executors) == 1)

    run(body())


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import sys; sys.exit(2)", "SystemExit"),
        ("import os; os._exit(2)", "ended the process"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended the process"),
        ("raise RuntimeError('not today')", "RuntimeError: not today"),
    ],
)
def test_an_import_that_goes_wrong_is_one_sentence_and_harms_no_other(tmp_path, monkeypatch, source, said):
    (tmp_path / "sulky.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))

    async def body():
        async with pool_of(tmp_path / "home") as (pool, _):
            found = await pool.prober.probe(["sulky.task", f"{MODULE}.act"])
            assert said in str(found["sulky.task"].error)
            assert "sulky" in str(found["sulky.task"].error)
            assert found[f"{MODULE}.act"].ok

    run(body())


LATE = """
import os, threading
from functools import cache
from pathlib import Path
from oaflow import Job, stage
__preload__ = ("decimal", "not.installed", "late:model")

@cache
def model():
    with Path(__file__).with_name("read.txt").open("a") as out:
        print(os.getpid(), file=out)
    {more}

@stage
def one(job: Job) -> None: ...

@stage
def other(job: Job) -> None: ...
"""


def late_module(folder, monkeypatch, more="pass"):
    (folder / "late.py").write_text(LATE.format(more=more))
    monkeypatch.syspath_prepend(str(folder))


def test_what_a_module_loads_late_is_tried_aside_and_then_loaded_once_for_all_executors(tmp_path, monkeypatch):
    late_module(tmp_path, monkeypatch)

    async def body():
        async with pool_of(tmp_path / "home", size=2) as (pool, _):
            found = await pool.prober.probe(["late.one", "late.other"])
            assert all(each.ok for each in found.values())
            await until(lambda: len(pool.executors) == 2)
            aside, kept = map(int, (tmp_path / "read.txt").read_text().split())
            assert kept == pool.forkserver != aside

    run(body())


def test_who_lacks_a_module_is_replaced_by_one_that_is_not_replaced_in_its_turn(tmp_path, monkeypatch):
    late_module(tmp_path, monkeypatch)

    async def body():
        async with pool_of(tmp_path / "home", size=2) as (pool, _):
            await until(lambda: len(pool.executors) == 2)
            before = [executor.number for executor in pool.everyone]
            await pool.prober.probe(["late.one"])
            await until(lambda: len(pool.executors) == 2)
            after = [executor.number for executor in pool.everyone if executor.number not in before]
            # Numbers are given one after the other.
            assert len(after) == 2
            assert max(after) - max(before) == 2

    run(body())


def test_code_that_changes_under_a_worker_is_told_as_what_was_loaded(tmp_path, monkeypatch):
    late_module(tmp_path, monkeypatch)

    async def body():
        async with pool_of(tmp_path / "home") as (pool, _):
            before = (await pool.prober.probe(["late.one"]))["late.one"].version
            await until(lambda: pool.executors)
            with (tmp_path / "late.py").open("a") as file:
                file.write("\nMORE = 1\n")
            later = (await pool.prober.probe(["late.other"]))["late.other"]
            assert later.version == before

            def stale():
                code = pool.preloads.code_of("late.other", later)
                assert not code.mixed
                return Look().changed({"late.other": code})

            assert stale() == {"late.other": str(tmp_path / "late.py")}
            # Another forkserver loads what is there by then.
            os.kill(pool.forkserver, signal.SIGKILL)
            await until(lambda: not stale())
        async with pool_of(tmp_path / "anew") as (pool, _):
            assert (await pool.prober.probe(["late.other"]))["late.other"].version != before

    run(body())


def has_loaded_late(pid):
    return "kreuzberg" in Path(f"/proc/{pid}/maps").read_text()


async def first_with_our_own_stages(pool):
    """
    The one executor that takes work until all is loaded that these stages load late.
    """
    await pool.prober.probe([f"{MODULE}.act", "oaflow.stages.crawl"])
    await until(lambda: pool.executors)
    (first,) = pool.executors
    return first


def test_what_our_own_stages_load_late_is_loaded_beside_the_first_work_and_who_is_at_that_finishes_it(tmp_path):
    async def body():
        async with pool_of(tmp_path / "home", size=2) as (pool, heard):
            first = await first_with_our_own_stages(pool)
            assert not has_loaded_late(pool.forkserver)

            pool.send(first, [assigned(1, "loop", timeout=LONG)])
            await until(lambda: has_loaded_late(pool.forkserver))
            await until(lambda: pool.executors and first not in pool.executors)

            (other,) = pool.executors  # and not two: with the one that is at work they are as many as asked for
            assert pool.at_work == [first]
            assert has_loaded_late(other.pid)
            pool.send(other, [assigned(2, "fine")])
            await until(lambda: heard.done() == [2])
            pool.kill(first, "has seen enough")
            await until(lambda: len(pool.executors) == 2)
            assert all(has_loaded_late(executor.pid) for executor in pool.executors)

    run(body())


def test_who_did_the_first_work_does_more_until_all_is_loaded_and_then_others_do(tmp_path):
    async def body():
        async with pool_of(tmp_path / "home", size=2) as (pool, heard):
            first = await first_with_our_own_stages(pool)
            os.kill(pool.forkserver, signal.SIGSTOP)
            for job in (1, 2):
                pool.send(first, [assigned(job, "fine")])
                await until(lambda job=job: job in heard.done())
                assert pool.executors == [first]
            os.kill(pool.forkserver, signal.SIGCONT)
            await until(lambda: len(pool.executors) == 2)
            assert first not in pool.executors

    run(body())


def test_what_needs_what_our_own_stages_load_late_waits_and_has_that_loaded(tmp_path):
    async def body():
        async with pool_of(tmp_path / "home", size=2) as (pool, _):
            tasks = [f"oaflow.stages.{name}" for name in ("crawl", "report", "extract")]
            await pool.prober.probe([f"{MODULE}.act", *tasks])
            await until(lambda: pool.executors)
            assert not any(map(pool.preloads.waits, [f"{MODULE}.act", "oaflow.stages.crawl", "oaflow.stages.report"]))
            os.kill(pool.forkserver, signal.SIGSTOP)
            assert pool.preloads.waits("oaflow.stages.extract")
            assert pool.preloads.waits("oaflow.stages.extract")
            os.kill(pool.forkserver, signal.SIGCONT)
            await until(lambda: len(pool.executors) == 2)
            assert all(has_loaded_late(executor.pid) for executor in pool.executors)
            assert not pool.preloads.waits("oaflow.stages.extract")

    run(body())


def test_nobody_waits_for_what_a_forkserver_has_died_of(tmp_path):
    async def body():
        async with pool_of(tmp_path / "home", size=2) as (pool, _):
            await pool.prober.probe([f"{MODULE}.act", "oaflow.stages.extract"])
            await until(lambda: pool.executors)
            server = pool.forkserver
            os.kill(server, signal.SIGSTOP)
            assert pool.preloads.waits("oaflow.stages.extract")
            os.kill(server, signal.SIGKILL)
            await until(lambda: pool.forkserver not in (None, server) and pool.executors)
            assert not pool.preloads.waits("oaflow.stages.extract")

    run(body())


def test_an_end_does_not_wait_for_what_is_being_loaded(tmp_path):
    async def body():
        async with pool_of(tmp_path / "home", size=2) as (pool, heard):
            first = await first_with_our_own_stages(pool)
            server, everyone = pool.forkserver, pool.everyone
            os.kill(server, signal.SIGSTOP)  # it loads for as long as this takes
            pool.send(first, [assigned(1, "fine")])
            await until(lambda: heard.done() == [1])
            began = time.monotonic()
        assert time.monotonic() - began < LAST_WORDS + STOP_SECONDS
        await until(lambda: not any(alive(pid) for pid in (server, *(one.pid for one in everyone))))

    run(body())


def test_a_module_that_starts_threads_late_stays_out_of_the_forkserver(tmp_path, monkeypatch):
    late_module(tmp_path, monkeypatch, "threading.Thread(target=threading.Event().wait, daemon=True).start()")

    async def body():
        async with pool_of(tmp_path / "home") as (pool, _):
            found = await pool.prober.probe(["late.one", "late.other"])
            assert all(each.ok for each in found.values())
            await until(lambda: pool.executors)
            assert len(list(Path(f"/proc/{pool.forkserver}/task").iterdir())) == 1
            assert str(pool.forkserver) not in (tmp_path / "read.txt").read_text()
            assert pool.preloads.code_of("late.one", found["late.one"]).mixed
            before = pool.executors[0]
            await pool.prober.probe(["late.one"])
            # It may have imported the module before a function that is asked for now was in it.
            await until(lambda: pool.executors and pool.executors[0] is not before)

    run(body())


def test_what_goes_wrong_in_loading_late_is_said_of_the_tasks_of_the_module(tmp_path, monkeypatch):
    late_module(tmp_path, monkeypatch, "raise RuntimeError('no model here')")

    async def body():
        async with pool_of(tmp_path / "home") as (pool, _):
            found = await pool.prober.probe(["late.one"])
            assert "RuntimeError: no model here" in str(found["late.one"].error)

    run(body())


def test_all_of_it_works_in_the_loop_that_workers_run(tmp_path):
    async def body():
        async with pool_of(tmp_path, size=2) as (pool, heard):
            await pool.prober.probe([f"{MODULE}.act"])
            await until(lambda: len(pool.executors) == 2)
            first, second = pool.executors
            pool.send(first, [assigned(1, "fine"), assigned(2, "segfault"), assigned(3, "fine")])
            pool.send(second, [assigned(4, "loop", timeout=0.3)])
            await until(lambda: len(heard.deaths) == 2)
            assert {death.signal or death.kind for _, _, death, _ in heard.deaths} == {"SIGSEGV", "SIGKILL"}
            os.kill(pool.forkserver, signal.SIGKILL)
            await until(lambda: len(pool.executors) == 2 and pool.forkserver)
            pool.send(pool.executors[0], [assigned(5, "shout")])
            await until(lambda: 5 in heard.done())

    uvloop.run(body())
