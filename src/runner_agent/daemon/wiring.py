"""Wiring: every floor built once, from the bottom up, and taken down in reverse."""

import uuid
from contextlib import AsyncExitStack

import structlog

from runner_agent.control.base import Control
from runner_agent.control.commands import Commands
from runner_agent.control.prebuild import PrebuildControl
from runner_agent.core.timing import Timing
from runner_agent.daemon import files
from runner_agent.daemon.agent import Agent
from runner_agent.daemon.default_file import DefaultFile
from runner_agent.daemon.devcontainer import DevContainerStarts
from runner_agent.daemon.executing import dev_container, executors
from runner_agent.daemon.frontdoor import FrontDoor
from runner_agent.daemon.housekeeping import Housekeeping
from runner_agent.daemon.identity import establish
from runner_agent.daemon.inherited import Inherited
from runner_agent.daemon.listening import listen
from runner_agent.daemon.metrics import CountedNotes, Metrics
from runner_agent.daemon.parts import Parts
from runner_agent.daemon.prebuild import Conductor
from runner_agent.daemon.reader import reader_for
from runner_agent.daemon.settings import Settings
from runner_agent.daemon.settings_secrets import folders
from runner_agent.daemon.user import User, find_user
from runner_agent.executors.delegated import find_home, make_ready, not_in_force
from runner_agent.executors.environment import command_path
from runner_agent.executors.machine import MachineExecutor, MachineSettings
from runner_agent.kit.clock import SystemClock
from runner_agent.kit.inotify import Inotify
from runner_agent.logs.cap import LogCap
from runner_agent.logs.files import LogFiles
from runner_agent.logs.logbook import Logbook
from runner_agent.model.ids import BootMark
from runner_agent.reconcile.evidence import Evidence, Owner
from runner_agent.reconcile.loop import Reconciler, Setting
from runner_agent.reconcile.means import Means
from runner_agent.reconcile.requests import Requests
from runner_agent.secrets.given import RunSecrets
from runner_agent.secrets.stores import SecretStores
from runner_agent.store.sqlite import SqliteStore

log = structlog.get_logger("agent")


def new_id() -> str:
    """A UUID never given before."""
    return str(uuid.uuid4())


# long: one list, read from the bottom up
async def open_agent(settings: Settings, stack: AsyncExitStack, inherited: Inherited) -> Agent:
    """Everything open and nothing running yet; `stack` closes it. Raises RunnerError saying what stands in
    the way.
    """
    state = settings.state_dir
    files.make_state_dir(state)
    lock = files.StateLock(state)
    lock.acquire()
    stack.callback(lock.release)
    user = find_user(settings.run_as)
    reader = reader_for(user)
    if reader is not None and (folder := reader.may_replace(state)) is not None:
        log.warning("run_as can put another state directory in the place of ours", writable=str(folder))
    clock = SystemClock()
    store = SqliteStore(state / files.DATABASE, clock.wall, keep_room=True)
    stack.push_async_callback(store.aclose)
    metrics = Metrics(store, lambda: store.commits)
    identity = await establish(
        store, state / files.TOKEN, environment_id=settings.environment_id, token=settings.token
    )
    listening = listen(settings.listen, settings.external_url, user, inherited)
    stack.callback(listening.close)
    inotify = Inotify()
    stack.callback(inotify.close)
    logs = LogFiles(state / files.LOGS)
    machine_settings = _machine(settings)
    machine = MachineExecutor(machine_settings)
    watch = dev_container(settings, machine_settings.environ)
    starts = DevContainerStarts(watch)
    stack.push_async_callback(machine.aclose)
    evidence = _evidence(settings, logs, inotify, user)
    prebuild = PrebuildControl(
        Control(store, clock, new_id), logs, least=settings.prebuild_timeout_least, closed=settings.prebuild
    )
    secrets = _secrets(settings, prebuild)
    requests = Requests(evidence, identity.environment_id, listening.unix_path, settings.environment, secrets)
    means = Means(
        store,
        CountedNotes(store, clock, metrics.count_fact),
        executors(settings, machine, identity.environment_id, machine_settings.environ, stack, watch),
        requests,
        evidence,
        clock,
    )
    timing = _timing(settings)
    reconciler = Reconciler(means, Setting(BootMark(clock.boot_mark()), timing, new_id))
    commands = Commands(store, clock, new_id, secrets.known.redact, starts.key)
    parts = Parts(
        settings=settings,
        identity=identity,
        listening=listening,
        user=user,
        clock=clock,
        timing=timing,
        new_id=new_id,
        store=store,
        commands=commands,
        prebuild=prebuild,
        default_file=DefaultFile(store, commands, clock, settings.workspace, settings.automations, reader),
        logs=logs,
        logbook=Logbook(logs, inotify),
        metrics=metrics,
    )
    conductor = Conductor(prebuild, store, clock, reconciler, state)
    return Agent(parts, reconciler, machine, FrontDoor(parts), Housekeeping(parts), conductor, starts)


def _machine(settings: Settings) -> MachineSettings:
    home = find_home(settings.cgroup)
    if told := not_in_force(settings.run_limits, home, make_ready(home) if home else frozenset()):
        log.warning(told)
    return MachineSettings(
        state_dir=settings.state_dir,
        workspace=settings.workspace,
        shell=settings.shell,
        run_as=settings.run_as,
        own_path=command_path(settings.state_dir),
        cgroup=home,
        limits=settings.run_limits,
        launcher_unit=settings.launcher_unit,
    )


def _secrets(settings: Settings, prebuild: PrebuildControl) -> RunSecrets:
    stores = SecretStores(
        folders(settings.secrets, settings.credentials), user_scope_open=prebuild.user_scope_open
    )
    return RunSecrets(stores, settings.secret_environment)


def _evidence(settings: Settings, logs: LogFiles, inotify: Inotify, user: User) -> Evidence:
    # Runs of our own user may write where we keep their records: then there is one folder a run to make.
    outputs = settings.state_dir / (files.OUTPUTS if user.other else files.RUNS)
    outputs.mkdir(mode=0o711 if user.other else 0o700, exist_ok=True)
    owner = Owner(user.uid, user.gid) if user.other else None
    return Evidence(logs, LogCap(inotify, settings.log_cap), outputs, inotify, owner)


def _timing(settings: Settings) -> Timing:
    return Timing(
        service_stop_grace=settings.service_stop_grace,
        task_stop_grace=settings.task_stop_grace,
        ready_attempt_timeout=settings.ready_attempt_timeout,
    )
