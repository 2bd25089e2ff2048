"""A script on its shell's standard input does what it does as an argument (rule 5.1)."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from runner_agent.launcher import wire
from runner_agent.launcher.handing import open_script
from runner_agent.launcher.order import Order
from tests.launcher.rig import BASH, GATE, Rig
from tests.support.machines import ROOT_OR_CI
from tests.support.processes import wait_until

SCRIPTS = {
    "end": "echo a\nexit 4\necho b\n",
    "errexit": "set -e\nfalse\necho no",
    "strict": "set -euo pipefail\necho $nope\n",
    "names": 'echo "$0" $# $LINENO "$*"\nset -- a b\necho $#',
    "missing": "true\n\nnosuchprogram --now\n",
    "return": "echo a\nreturn 3\necho b",
    "heredoc": "cat <<E\nx $LINENO\nE\necho $LINENO",
    "streams": "readlink /proc/self/fd/0; cat; ls /proc/$$/fd | tr '\\n' ' '",
    "functions": 'f() { echo "$LINENO"; return 2; }\nf\necho $?',
    "traps": "trap 'echo bye' EXIT\ntrap 'echo term' TERM\nkill -TERM $$\nfalse",
    "signal": "kill -KILL $$",
    "syntax": "echo a\nif then\n",
    "quotes": "echo 'one\ntwo' \"$((1 + 1))\" `echo three` \\\n four\n",
    "jobs": "sleep 0 &\nwait $!\necho $?",
    "bytes": "printf '%s|' '\udcff' 'ü€'",
    "again": 'exec "$0"',
    "comment": "# nothing\n",
    "subshell": "(exit 3) || echo $?",
}
OF_BASH = {
    "err": "trap 'echo err $LINENO' ERR\nfalse\ntrue\nfalse",
    "sources": 'f() { echo "${BASH_SOURCE[@]}"; caller; }\nf\necho "${FUNCNAME[@]}"',
    "aliases": "shopt -s expand_aliases\nalias x='echo al'\nx",
    "status": "false | true\necho ${PIPESTATUS[0]} $? $BASH_SUBSHELL $-",
}
EVERY = [(shell, name) for shell in (BASH, "/bin/dash") for name in SCRIPTS] + [
    (BASH, name) for name in OF_BASH
]


@pytest.mark.parametrize(("shell", "name"), EVERY)
def test_users_see_the_same(shared: Rig, shell: str, name: str) -> None:
    script = (SCRIPTS | OF_BASH)[name]

    def seen(**changes: object) -> tuple[str, object, object]:
        run = shared.start("", **{"argv": [shell, "-c", script], **changes})
        ended = run.ended()
        run.wait_gone()
        said = (run.folder / "log").read_text(errors="surrogateescape")
        # Where a shell names what it was reading when the syntax broke, it names what it is.
        plain = said.split("runner-agent:")[0].replace("-c: ", "").replace("eval: ", "").replace(" 3 ", " ")
        return plain, ended.get("code"), ended.get("signal")

    assert seen(stdin="eval") == seen()


@pytest.mark.parametrize("shell", [BASH, "/bin/dash"])
@pytest.mark.parametrize(
    "pattern",
    ["pkill -f 'gone-[c]atalog|echo survi'", "ps ax -o pid=,args= | awk '/gone-/ && !/awk/' | grep ."],
)
def test_rule_5_1_a_pattern_does_not_match_the_shell_of_its_script(
    shared: Rig, shell: str, pattern: str
) -> None:
    script = f"# gone-catalog\n{pattern} || true\necho survived\n"
    run = shared.start(argv=[shell, "-c", script], stdin="eval")
    run.wait_gone()
    assert run.written == ["survived"]


@pytest.mark.parametrize("way", ["eval", "read"])
@pytest.mark.parametrize(
    "user", [None, pytest.param("nobody", marks=pytest.mark.skipif(not ROOT_OR_CI, reason="needs root"))]
)
def test_rule_5_1_a_script_of_a_mebibyte(shared: Rig, scratch: Path, way: str, user: str | None) -> None:
    scratch.chmod(0o755)
    script = f"wc -c <<'E'\n{'x' * (1 << 20)}\nE\ncat\nreadlink /proc/self/exe"
    changes: dict[str, object] = {"argv": [BASH, "-c", script], "stdin": way, "cwd": str(scratch)}
    if user is not None:
        entry = pwd.getpwnam(user)
        changes |= {"uid": entry.pw_uid, "gid": entry.pw_gid, "groups": []}
    run = shared.start("", **changes)
    assert run.ended()["code"] == 0, run.notes
    assert run.written[0] == str((1 << 20) + 1)
    assert len(run.written) == 2, "standard input is empty"


def test_the_arguments_tell_nothing_of_the_script(shared: Rig) -> None:
    run = shared.start(argv=[BASH, "-c", f"touch begun\n{GATE}\n# catalog\n"], stdin="eval")
    wait_until((run.folder / "begun").exists, what="it reads no more")
    assert Path(f"/proc/{run.leader}/cmdline").read_bytes() == (
        b'/bin/bash\0-c\0eval "$(/bin/cat||echo exit 126)"\0'
    )
    for pid in (run.leader, run.holder):
        names = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        assert not [name for name in names if "memfd" in name], "nobody keeps the script"
    run.go_on()
    run.wait_gone()


@pytest.mark.skipif(not ROOT_OR_CI, reason="needs root")
@pytest.mark.parametrize(
    "shell",
    [pytest.param(BASH, marks=pytest.mark.heavy), "/bin/dash"],  # bash tries to fork for 15 s
)
def test_a_script_that_could_not_be_read_has_not_succeeded(shared: Rig, shell: str) -> None:
    """No process can be had to read it with: the run has failed, instead of doing nothing."""
    order = Order(shared.order(argv=[shell, "-c", "echo on\nexit 0\n"], stdin="eval"))
    script = open_script(order)
    limited = ["prlimit", "--nproc=1:1", "setpriv", "--reuid=61235", "--regid=61235", "--clear-groups"]
    done = subprocess.run([*limited, *order.argv], stdin=script, capture_output=True, check=False, text=True)
    os.close(script)
    assert done.returncode != 0
    assert done.stdout == ""
    assert "fork" in done.stderr


@pytest.mark.parametrize(
    ("argv", "way", "told"),
    [
        ([BASH, "-lc", "true", "x"], "eval", "only SHELL -c SCRIPT"),
        ([BASH, "-c", "true"], "x", "'x' is no way"),
    ],
)
def test_what_cannot_be_handed_over_is_refused(shared: Rig, argv: list[str], way: str, told: str) -> None:
    refused = shared.refused(argv=argv, stdin=way)
    assert refused.code == "invalid"
    assert told in refused.text


def test_a_stop_reaches_a_script_that_is_evaluated(shared: Rig) -> None:
    script = f"trap 'echo told; exit 3' TERM\ntouch begun\n{GATE}\n"
    run = shared.start(argv=[BASH, "-c", script], stdin="eval")
    wait_until((run.folder / "begun").exists, what="it waits")
    run.signal(wire.TERMINATE)
    assert run.ended()["code"] == 3
    assert "told" in run.written
