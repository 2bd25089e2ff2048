"""The API as this agent offers it: who may enter, what the handlers stand on, and the server over our
sockets.
"""

import asyncio
import os
from datetime import datetime
from pathlib import Path

from runner_agent import __version__
from runner_agent.api.app import Health, Pages, build_app
from runner_agent.api.asgi import App, Receive, Scope, Send
from runner_agent.api.auth import Guard
from runner_agent.api.backend import AgentInfo, AutomationsState, Backend
from runner_agent.api.log_tokens import LogTokens
from runner_agent.api.logs import log_routes
from runner_agent.api.methods import bound_methods
from runner_agent.api.pieces import Shown
from runner_agent.api.server import Server
from runner_agent.api.sessions import Sessions
from runner_agent.api.sign_in import SESSION, SignIn
from runner_agent.api.wire_out import Outward
from runner_agent.api.wishes import Wishes
from runner_agent.daemon import files
from runner_agent.daemon.parts import Parts
from runner_agent.model.errors import RunnerError


class FrontDoor:
    """Serves from the start, and says it is ready once told so."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._started_at: datetime = parts.clock.wall()
        self._ready = False
        self._wishes = Wishes()
        outward = Outward(parts.identity.environment_id, parts.listening.log_root)
        log_tokens = LogTokens(parts.identity.token, parts.clock.wall)
        backend = Backend(
            store=parts.store,
            commands=parts.commands,
            prebuild=parts.prebuild,
            outward=outward,
            shown=Shown(outward),
            info=self._info,
            new_id=parts.new_id,
            set_automations_file=self._set_automations_file,
            automations_applied=self._automations_applied,
            new_logs_token=log_tokens.issue,
            clock=parts.clock,
            timing=parts.timing,
            logs=parts.logs,
        )
        uids = frozenset({0, os.getuid(), parts.user.uid})
        sessions = Sessions(
            parts.identity.token,
            parts.clock.now,
            parts.clock.wall,
            parts.settings.state_dir / files.SIGNED_OUT,
        )
        guard = Guard(
            parts.identity.token, uids, parts.clock.now, parts.listening.names, log_tokens, sessions
        )
        sign_in = SignIn(guard, sessions, lambda: parts.listening.pages)
        closing = asyncio.Event()
        trees = log_routes(parts.store, parts.logbook, closing) | sign_in.routes()
        health = Health(lambda: self._ready, parts.metrics.tell)
        methods = self._wishes.guard(bound_methods(backend))
        pages = _pages(sign_in)
        app = build_app(methods, guard, health, closing, trees, parts.metrics.count_call, pages)
        self._server = Server(app, parts.listening.sockets, closing)

    def open(self) -> None:
        """Say on /readyz that the agent is ready, and begin to take wishes."""
        self._ready = True
        self._wishes.take()

    def close_to_wishes(self) -> None:
        """The agent goes down: from now on answer questions, but promise nothing that cannot be kept."""
        self._ready = False
        self._wishes.refuse()

    async def serve(self) -> None:
        """Until cancelled; then streams are ended and answers under way are finished first."""
        serving = asyncio.create_task(self._server.serve(), name="server")
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self._server.stop()
            await serving
            raise

    async def _set_automations_file(self, path: str) -> None:
        await self._parts.default_file.make_default(Path(path))

    def _automations_applied(self, path: str, error: RunnerError | None) -> None:
        file = self._parts.default_file
        file.applied(Path(path)) if error is None else file.refused(Path(path), error)

    def _info(self) -> AgentInfo:
        file = self._parts.default_file.state
        automations = AutomationsState(str(file.path or ""), file.applied_at, file.error, file.warning)
        return AgentInfo(
            version=__version__,
            pid=os.getpid(),
            addresses=self._parts.listening.addresses,
            state_dir=str(self._parts.settings.state_dir),
            workspace=str(self._parts.settings.workspace),
            started_at=self._started_at,
            automations=automations,
        )


def _pages(sign_in: SignIn) -> Pages:
    def page(path: str) -> App | None:
        if path == SESSION:
            return sign_in
        return _dashboard if path == "/" or path.startswith("/assets/") else None

    return page


async def _dashboard(scope: Scope, receive: Receive, send: Send) -> None:
    """Imported when first asked for: most agents never are."""
    from runner_agent.web.site import site

    await site()(scope, receive, send)
