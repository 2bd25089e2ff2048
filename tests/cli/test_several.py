"""Several things at once, `start`, `stop` and `restart` of anything, `down`, and ids cut short."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from runner_agent.cli.executions import short_ids
from tests.client.fake_agent import LogPart, Message, Refusal, execution, service, task, uuid

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
    from tests.client.fake_agent import FakeAgent

ONE, OTHER = "3f1c6f0e-0000-4000-8000-000000000001", "3f1c7a00-0000-4000-8000-000000000002"


@pytest.fixture(autouse=True)
def things(fake: FakeAgent) -> None:
    fake.services = [service(1, "web", "RUNNING"), service(2, "db", "RUNNING")]
    fake.tasks = [task(3, "build")]
    fake.executions = [
        execution(4, uuid(3), "SUCCEEDED") | {"id": ONE},
        execution(5, uuid(3), "RUNNING") | {"id": OTHER},
    ]


def asked(fake: FakeAgent, *methods: str) -> list[tuple[str, str]]:
    """Calls of these methods, with the ids they were about."""
    return [(method, message["id"]) for method, message in fake.asked if method in methods]


class TestSeveralServices:
    @pytest.mark.parametrize("command", ["start", "stop", "delete"])
    def test_each_is_asked_for_and_told(self, cli: Cli, fake: FakeAgent, command: str) -> None:
        told = cli("service", command, "web", "db", "web")
        assert told.code == 0
        assert [line.split(":")[0] for line in told.err.splitlines()] == ["Service web", "Service db"]
        method = f"{command.capitalize()}Service"
        assert asked(fake, method) == [(method, uuid(1)), (method, uuid(2))], "each once"

    @pytest.mark.parametrize("command", ["service stop", "stop"])
    def test_one_that_is_unknown_keeps_nothing_from_the_others(
        self, cli: Cli, fake: FakeAgent, command: str
    ) -> None:
        told = cli(*command.split(), "dbb", "web", "wbe")
        assert told.code == 2
        assert asked(fake, "StopService") == [("StopService", uuid(1))]
        assert "'dbb'. Did you mean 'db'?" in told.err
        assert "Service web: stop requested." in told.err
        assert told.err.splitlines()[-1] == "Error: Nothing goes by 'dbb', 'wbe'."

    def test_the_worst_code_of_unknown_and_failed(self, cli: Cli, fake: FakeAgent) -> None:
        fake.services = [service(1, "web", "FAILED", failure="start exited with code 7")]
        told = cli("service", "start", "web", "dbb", "--wait")
        assert told.code == 2
        assert "start exited with code 7" in told.err
        fake.services = [service(1, "web", "STARTING")]
        assert cli("service", "start", "web", "dbb", "--wait=0.1").code == 3

    def test_one_that_is_refused_stops_no_other(self, cli: Cli, fake: FakeAgent) -> None:
        def start(message: Message) -> Message:
            if message["id"] == uuid(1):
                raise Refusal("failed_precondition", "it is being deleted", 400)
            return {}

        fake.on["StartService"] = start
        told = cli("service", "start", "web", "db")
        assert told.code == 1
        assert "it is being deleted" in told.err
        assert "Service db: start requested." in told.err

    def test_waiting_for_all_the_worst_code_and_the_same_time(self, cli: Cli, fake: FakeAgent) -> None:
        fake.services = [
            service(1, "web", "STARTING"),
            service(2, "db", "FAILED", failure="start exited with code 7"),
            service(6, "late", "STARTING"),
        ]
        told = cli("service", "start", "web", "db", "late", "--wait=0.3")
        assert told.code == 3
        assert "Service web is not RUNNING after 0.3s" in told.err
        assert "Service late is not RUNNING after 0.3s" in told.err
        assert "Service db failed: start exited with code 7" in told.err

    def test_a_number_behind_wait_is_no_service(self, cli: Cli, fake: FakeAgent) -> None:
        told = cli("service", "stop", "--wait", "5", "web")
        assert told.code == 2
        assert "--wait=5" in told.err
        assert "StopService" not in fake.methods()


class TestAFiringIsWaitedForAsOne:
    def test_a_failure_of_a_shared_step_is_told_once(self, cli: Cli, fake: FakeAgent) -> None:
        failure = 'step "install" failed: install exited with code 4; last line: no space'
        fake.executions = [
            execution(7, uuid(3), "FAILED", failure=failure, steps={"install": "FAILED", "x": None}),
            execution(8, uuid(3), "FAILED", failure=failure, steps={"install": "FAILED", "y": None}),
        ]
        started = [{"id": uuid(7), "reference": "x"}, {"id": uuid(8), "reference": "y"}]
        fake.on["FireTrigger"] = lambda _: {
            "firing": {"id": uuid(9), "event": "prebuild", "executions": started}
        }
        for each in fake.executions:
            fake.log_ids[each["status"]["steps"][0]["id"]] = "run"
        fake.logs["run"] = [LogPart(b"no space\n")]
        told = cli("trigger", "prebuild", "--wait")
        assert told.code == 1
        assert told.err.count("install exited with code 4") == 1
        assert told.err.count("Last lines of install's log:\n  | no space\n") == 1
        assert told.err.count("  | ") == 1
        assert "Tasks x, y failed" in told.err

    def test_also_where_each_names_another_of_the_steps_that_failed(self, cli: Cli, fake: FakeAgent) -> None:
        orders = {7: ("base", "more"), 8: ("more", "base")}
        fake.executions = [
            execution(
                key,
                uuid(3),
                "FAILED",
                failure=f'step "{first}" failed: {first} exited with code 4',
                steps={first: "FAILED", second: "FAILED"},
            )
            for key, (first, second) in orders.items()
        ]
        for each in fake.executions:
            for step in each["spec"]["plan"]:
                (one,) = step["steps"]
                fake.log_ids[one["id"]] = one["label"]
                fake.logs[one["label"]] = [LogPart(f"{one['label']} broke\n".encode())]
        started = [{"id": uuid(7), "reference": "x"}, {"id": uuid(8), "reference": "y"}]
        fake.on["FireTrigger"] = lambda _: {
            "firing": {"id": uuid(9), "event": "prebuild", "executions": started}
        }
        told = cli("trigger", "prebuild", "--wait").err
        for label in ("base", "more"):
            assert told.count(f"Last lines of {label}'s log:\n  | {label} broke\n") == 1
        assert told.count("  | ") == 2
        assert 'Task x failed: step "base" failed' in told
        assert 'Task y failed: step "more" failed' in told

    def test_of_a_service_that_is_waited_for_too_the_cause_stands_with_it(
        self, cli: Cli, fake: FakeAgent
    ) -> None:
        why = "start exited with code 9"
        fake.services = [service(1, "db", "FAILED", failure=why)]
        fake.executions = [
            execution(
                key,
                uuid(3),
                "FAILED",
                failure=f'step "db" failed: service "db" failed: {why}',
                steps={"db": "FAILED", "x": None},
            )
            for key in (7, 8)
        ]
        for each in fake.executions:
            each["spec"]["plan"][0]["steps"][0] |= {"serviceId": uuid(1)}
        fake.logs[f"/logs/services/{uuid(1)}"] = [LogPart(b"no room\n")] * 3
        started = [{"id": uuid(7), "reference": "x"}, {"id": uuid(8), "reference": "y"}]
        fake.on["FireTrigger"] = lambda _: {
            "firing": {
                "event": "prebuild",
                "services": [{"id": uuid(1), "reference": "db"}],
                "executions": started,
            }
        }
        told = cli("trigger", "prebuild", "--wait").err
        assert told.count(why) == 1
        assert told.count("  | no room") == 1
        assert f"Service db failed: {why}\nTasks x, y failed: they need service db.\n" in told
        fake.executions.pop()
        started.pop()
        assert "Task x failed: it needs service db.\n" in cli("trigger", "prebuild", "--wait").err

    def test_all_say_how_long_was_waited(self, cli: Cli, fake: FakeAgent) -> None:
        """Not 0.0 s for all but the first."""
        fake.services = [service(1, "web", "STARTING"), service(2, "db", "STARTING")]
        fake.executions = [execution(7, uuid(3), "RUNNING")]
        fake.on["FireTrigger"] = lambda _: {
            "firing": {
                "event": "prebuild",
                "services": [{"id": uuid(1), "reference": "web"}, {"id": uuid(2), "reference": "db"}],
                "executions": [{"id": uuid(7), "reference": "build"}],
            }
        }
        told = cli("trigger", "prebuild", "--wait=0.4")
        assert told.code == 3
        assert told.err.count("after 0.4s.") == 3


class TestShortIds:
    @pytest.mark.parametrize("short", [ONE[:8], ONE[:5], ONE[:20], ONE.upper()[:8]])
    def test_any_beginning_that_no_other_has(self, cli: Cli, short: str) -> None:
        assert json.loads(cli("task", "get", short, "--json").out)["id"] == ONE

    def test_the_matches_are_listed_where_several_begin_so(self, cli: Cli, fake: FakeAgent) -> None:
        told = cli("task", "stop", "3f1c")
        assert told.code == 2
        assert "2 ids begin with '3f1c'" in told.err
        assert ONE in told.err
        assert OTHER in told.err
        assert "StopTaskExecution" not in fake.methods()

    def test_a_reference_goes_first(self, cli: Cli, fake: FakeAgent) -> None:
        fake.tasks.append(task(6, "3f1c6f0e"))
        assert json.loads(cli("task", "get", "3f1c6f0e", "--json").out)["id"] == uuid(6)

    def test_of_services_and_steps(self, cli: Cli, fake: FakeAgent) -> None:
        fake.services[0]["id"] = ONE
        assert json.loads(cli("service", "get", "3f1c", "--json").out)["id"] == ONE
        assert cli("service", "get", "3f1").code == 2, "a slip of a reference must not hit"
        fake.executions = [execution(11, uuid(3), "SUCCEEDED", steps={"install": "SUCCEEDED"})]
        step = fake.executions[0]["spec"]["plan"][0]["steps"][0]["id"]
        fake.logs[f"/logs/executions/{uuid(11)}"] = [LogPart(b"x\n")]
        assert cli("task", "logs", "build", "--step", step[:-1]).code == 0
        assert fake.log_queries[-1].endswith(f"step={step}")

    def test_tables_show_what_will_do(self, cli: Cli) -> None:
        """On a terminal; a program gets the whole of it."""
        assert short_ids([ONE, OTHER]) == {ONE: ONE[:8], OTHER: OTHER[:8]}
        close = f"{ONE[:-1]}2"
        assert short_ids([ONE, close]) == {ONE: ONE, close: close}
        assert short_ids([]) == {}
        lines = cli("task", "list-executions").out.splitlines()
        assert [line.split()[0] for line in lines] == ["ID", OTHER, ONE]


class TestAnything:
    def test_start_does_what_each_one_s_own_command_does(self, cli: Cli, fake: FakeAgent) -> None:
        fake.on["StartTask"] = lambda _: {"taskExecution": fake.executions[0]}
        fake.logs[f"/logs/executions/{ONE}"] = [LogPart(b"built\n")]
        told = cli("start", "web", "build")
        assert (told.code, told.out) == (0, f"{ONE}\n")
        assert "Service web: start requested." in told.err
        assert "built\n" in told.err
        assert cli("start", "build", "--dont-wait", "--wait").code == 2

    def test_stop(self, cli: Cli, fake: FakeAgent) -> None:
        assert cli("stop", "web", "build", ONE[:8]).code == 0
        assert asked(fake, "StopService", "StopTaskExecution") == [
            ("StopService", uuid(1)),
            ("StopTaskExecution", OTHER),
            ("StopTaskExecution", ONE),
        ]

    def test_restart_of_a_task_waits_for_the_end_of_what_runs(self, cli: Cli, fake: FakeAgent) -> None:
        order: list[str] = []

        def stop(message: Message) -> Message:
            order.append(f"stop {message['id']}")
            fake.executions[1] = execution(5, uuid(3), "STOPPED") | {"id": OTHER}
            return {}

        def start(_: Message) -> Message:
            order.append("start")
            return {"taskExecution": fake.executions[0]}

        fake.on["StopTaskExecution"], fake.on["StartTask"] = stop, start
        assert cli("restart", "build", "--quiet").code == 0
        assert order == [f"stop {OTHER}", "start"]

    def test_unknown(self, cli: Cli) -> None:
        told = cli("start", "wbe")
        assert told.code == 2
        assert "There is no service or task 'wbe'. Did you mean 'web'?" in told.err

    def test_ps_is_status(self, cli: Cli) -> None:
        assert cli("ps").out == cli("status").out


class TestDown:
    def test_executions_then_services_and_all_are_waited_for(self, cli: Cli, fake: FakeAgent) -> None:
        def stop_execution(_: Message) -> Message:
            fake.executions[1] = execution(5, uuid(3), "FAILED") | {"id": OTHER}
            return {}

        def stop_service(message: Message) -> Message:
            number = int(message["id"][-1])
            fake.services[number - 1] = service(number, ["web", "db"][number - 1], desired="STOPPED")
            return {}

        fake.on["StopTaskExecution"], fake.on["StopService"] = stop_execution, stop_service
        told = cli("down")
        assert told.code == 0, "how an execution ends that is stopped is no failure"
        assert asked(fake, "StopService", "StopTaskExecution") == [
            ("StopTaskExecution", OTHER),
            ("StopService", uuid(1)),
            ("StopService", uuid(2)),
        ]
        assert "the agent stays" in told.err
        assert cli("down").err == "Nothing runs.\n"

    def test_a_stop_that_fails_is_told(self, cli: Cli, fake: FakeAgent) -> None:
        fake.executions = []
        fake.services = [service(1, "web", "RUNNING")]
        failed = service(1, "web", "FAILED", desired="STOPPED", failure="stop exited with code 1")
        fake.on["GetService"] = lambda _: {"service": failed}
        told = cli("down")
        assert told.code == 1
        assert "stop exited with code 1" in told.err

    def test_only_so_long(self, cli: Cli, fake: FakeAgent) -> None:
        fake.executions = []
        stopping = service(1, "web", "STOPPING", desired="STOPPED")
        fake.on["GetService"] = lambda _: {"service": stopping}
        assert cli("down", "--wait=0.2").code == 3
        assert cli("down", "--dont-wait").code == 0


def test_why_of_several(cli: Cli, fake: FakeAgent) -> None:
    fake.on["ExplainAutomation"] = lambda message: {"reference": message["reference"], "answer": "so it is"}
    assert cli("why", "web", "db").out == "web: so it is\n\ndb: so it is\n"
    assert [each["reference"] for each in json.loads(cli("why", "web", "db", "--json").out)] == ["web", "db"]
    assert json.loads(cli("why", "web", "--json").out)["reference"] == "web"


class TestReasons:
    def test_rows_that_failed_say_why(self, cli: Cli, fake: FakeAgent) -> None:
        fake.services[0] = service(1, "web", "FAILED", failure="start exited with code 3")
        fake.executions = [execution(5, uuid(3), "FAILED", failure='step "build" failed')]
        status = cli("status").out.splitlines()
        assert any("web" in line and "FAILED" in line and "code 3" in line for line in status)
        assert any("FAILED" in line and 'step "build" failed' in line for line in status)
        for command in ("service list", "task list", "task list-executions"):
            told = cli(*command.split()).out
            assert "REASON" in told.splitlines()[0]
            assert " failed" in told or "code 3" in told

    def test_no_column_where_nothing_failed(self, cli: Cli) -> None:
        assert "REASON" not in cli("status").out


def test_ports(cli: Cli, fake: FakeAgent) -> None:
    assert cli("ports").err == "Nothing that runs listens on a port.\n"
    fake.live = [
        {"serviceId": uuid(1), "reference": "web", "usage": {"ports": [3000, 9229]}},
        {"serviceId": uuid(2), "reference": "db", "usage": {"ports": [543]}},
    ]
    assert [line.split() for line in cli("ports").out.splitlines()] == [
        ["PORT", "OWNER", "KIND", "URL"],
        ["543", "db", "service", "http://localhost:543"],
        ["3000", "web", "service", "http://localhost:3000"],
        ["9229", "web", "service", "http://localhost:9229"],
    ]
    assert json.loads(cli("ports", "--json").out)[0]["owner"] == "db"
