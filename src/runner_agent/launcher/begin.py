"""The beginning of a run: from an order to a command that executes, with the run claimed in between."""

import json
import os
import time

from runner_agent.launcher import loglines, procs, records
from runner_agent.launcher.copier import Copier
from runner_agent.launcher.holder import Holder
from runner_agent.launcher.reasons import NotStarted, explain
from runner_agent.launcher.spawn import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner_agent.launcher.order import Order


def hold(order: "Order", report: int) -> None:
    """Start the run and stay until it is gone.

    This process leads a session, is a subreaper and has blocked all signals.
    """
    run = begin(order, report)
    os.close(report)
    if run is not None:
        run.watch()


def begin(order: "Order", report: int) -> Holder | None:
    """Start the run, and tell the launcher by a packet on `report`; None if there is nothing to hold."""
    log: Copier | None = None
    stage = "log"
    try:
        log = Copier(loglines.open_log(order.log, order.uid, order.gid))
        stage = "record"
        return _claim_and_spawn(order, log, report)
    except OSError as error:
        code, reason = explain(stage, error, order)
        if log is not None:
            log.note(loglines.line(f"{order.title} could not be started: {reason}"))
        _tell_failure(report, order, code, reason)
        return None


def _claim_and_spawn(order: "Order", log: Copier, report: int) -> Holder | None:
    """Claim first: no command runs of which nothing is known. What is known first is its holder."""
    claimed = records.claim(order.folder, order.opening)
    if claimed < 0:  # somebody was first; the launcher reads who
        return None
    if order.note:
        log.note(order.note)
    began = time.monotonic_ns()
    try:
        leader = _spawn(order, log)
    except NotStarted as failure:
        code, reason = explain(failure.stage, failure.error, order)
        run = Holder(order, log, claimed, began, 0)
        run.fail(code, reason)
        _tell_failure(report, order, code, reason)
        return run
    rest = b'"leader_pid":%d,"leader_start":%d,"began_ns":%d}' % (leader, procs.start_of(leader), began)
    records.add(claimed, rest)
    try:
        os.write(report, b"%b,%b" % (order.opening, rest))
    except OSError:  # the launcher is gone; the record is there
        pass
    if order.secrets or order.secrets_in:
        # After the spawn, for it takes its time; the pipe holds what is written until then.
        log.hide(order)
    return Holder(order, log, claimed, began, leader)


def _spawn(order: "Order", log: Copier) -> int:
    """As `spawn`, into a pipe to the log. Raises NotStarted."""
    try:
        sink = log.open_pipe(order.uid, order.gid, order.outlet)
    except OSError as error:
        raise NotStarted("pipe", error) from None
    try:
        return spawn(order, sink)
    finally:
        os.close(sink)


def _tell_failure(report: int, order: "Order", code: int, reason: str) -> None:
    try:
        os.write(report, json.dumps({"run_id": order.run_id, "code": code, "reason": reason}).encode())
    except OSError:  # as above
        pass
