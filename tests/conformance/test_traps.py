"""The eleven traps of the published API, clause by clause, and the tests that keep us out of them.

`api/server::test_x` is the function `test_x` in tests/api/test_server.py.
"""

from __future__ import annotations

import ast
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conformance.environments import PYTHON_1_2

if TYPE_CHECKING:
    from concurrent.futures import Future

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]

TRAPS: dict[int, dict[str, str]] = {
    1: {
        "lines fill 64 bytes, none is blank": "api/streams::test_json_lines",
        "a sign of life at once": "api/watch::test_a_sign_of_life_comes_at_once",
        "and every 15 s": "api/watch::test_signs_of_life_go_on",
        "or oftener": "conformance/watch::test_an_idle_watch_outlives_the_read_timeout",
        "each event is pushed at once": "conformance/watch::test_events_are_pushed",
        "watch, then get": "conformance/watch::test_a_service_is_followed_by_watch_and_get",
    },
    2: {
        "headers before the first event": "api/streams::test_the_head_is_sent_before_the_first_event",
        "arguments come before them": "conformance/refusals::test_a_watch_is_refused_before_it_begins",
        "whatever the scope": "api/watch::test_other_scopes_are_refused_before_the_head",
    },
    3: {
        "a client that went is noticed": "api/streams::test_a_client_that_leaves_is_noticed_at_once",
        "through the SDKs": "conformance/retries::test_a_watcher_that_leaves_is_let_go",
        "and forgotten": "api/watch::test_a_watcher_that_leaves_is_forgotten",
        "queues are bounded": "api/watch::test_a_slow_watcher_sees_the_latest_only",
        "we end streams, as unavailable": "conformance/watch::test_an_agent_that_stops_ends_its_watches",
        "soon": "api/server::test_it_ends_with_streams_open_and_connections_idle",
        "who comes meanwhile too": "api/server::test_who_comes_while_it_ends_is_hung_up_on",
    },
    4: {
        "unknown fields are ignored": "api/unary::test_unknown_json_fields_are_ignored",
        "unknown enum names are not": "api/unary::test_unknown_enum_names_are_not_ignored",
        "nor both members of a oneof": "api/unary::test_both_members_of_a_oneof_are_refused",
        "malformed JSON": "api/unary::test_malformed_json_is_the_clients_fault",
        "malformed proto": "api/unary::test_malformed_proto_is_the_clients_fault",
        "malformed gzip": "api/unary::test_malformed_gzip_is_the_clients_fault",
        "keeps the connection alive": "api/server::test_a_connection_survives_malformed_bodies",
    },
    5: {
        "exceptions lose their text": "api/unary::test_a_defect_tells_nothing_of_itself",
        "bodies are limited": "api/unary::test_a_body_over_the_limit_is_refused",
        "after decompression too": "api/unary::test_a_gzip_bomb_costs_no_more_than_the_limit",
        "and the client is told": "api/server::test_a_refused_client_that_still_sends_gets_its_answer",
    },
    6: {
        "every code has its status": "api/unary::test_a_code_has_its_status",
        "and its exception": "conformance/retries::test_what_asking_again_cannot_cure_is_asked_once",
        "always a JSON body": "api/unary::test_an_unknown_address_is_unimplemented",
        "even to what is no HTTP": "api/server::test_what_is_not_http_is_answered_in_json",
    },
    7: {"other content types": "api/unary::test_other_content_types_are_refused"},
    8: {
        "never an empty logUrl": "api/services::test_an_unset_log_url_is_absent",
        "set by the first RUNNING": "conformance/logs::test_a_services_log_is_read_until_it_rests",
        "of executions too": "conformance/logs::test_a_commands_log_is_read_while_it_runs",
        "no error where a log is not begun": "api/logs::test_a_log_that_does_not_exist_yet_is_empty",
    },
    9: {
        "a growing log": "api/logs::test_a_log_that_grows_meanwhile_keeps_its_announced_length",
        "a shrinking log": "api/logs::test_an_answer_of_fixed_length_is_cut_never_filled",
    },
    10: {
        "umask 0177": "api/server::test_the_socket_is_the_owners_from_the_first_moment",
        "keepalive": "api/server::test_accepted_connections_inherit_the_search_for_dead_peers",
        "no polling": "api/server::test_an_idle_server_sleeps",
        "peers by SO_PEERCRED": "api/server::test_the_peer_of_the_unix_socket_is_known",
        "a bounded end": "api/server::test_it_ends_with_streams_open_and_connections_idle",
    },
    11: {
        "a pool of our own": "api/schema::test_the_schema_lives_in_a_pool_of_its_own",
        "beside the SDK": "conformance/traps::test_the_schema_and_the_sdk_share_a_process",
        "gzip where it pays": "api/unary::test_gzip_is_understood_and_answered_when_it_pays",
    },
}


@pytest.mark.parametrize("trap", range(1, 12))
def test_every_clause_of_a_trap_has_its_test(trap: int) -> None:
    """The table names tests that exist."""
    places = TRAPS[trap].values()
    assert places
    missing = [
        place for place in places if place.partition("::")[2] not in named_in(place.partition("::")[0])
    ]
    assert missing == []


@cache
def named_in(file: str) -> frozenset[str]:
    floor, _, name = file.partition("/")
    tree = ast.parse((ROOT / "tests" / floor / f"test_{name}.py").read_text())
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(function.name for function in functions if function.name.startswith("test_"))


OURS = "import runner_agent.api.schema as ours"
THEIRS = "import gitpod.v1.environment_automation_pb2 as theirs"


@pytest.mark.parametrize("imports", [(OURS, THEIRS), (THEIRS, OURS)], ids=["ours-first", "theirs-first"])
def test_the_schema_and_the_sdk_share_a_process(
    imports: tuple[str, str], commands: dict[str, Future[tuple[str, ...]]]
) -> None:
    """Trap 11: two descriptions of one file, the SDK's protobuf runtime, and messages that go over."""
    program = "; ".join(
        (
            *imports,
            "told = theirs.GetServiceRequest(id='web')",
            "kind = ours.message_type('gitpod.v1.GetServiceRequest')",
            "print(kind.FromString(told.SerializeToString()).id)",
        )
    )
    python = commands[PYTHON_1_2.name].result()[0]
    done = subprocess.run(
        [python, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("web\n", 0), done.stderr
