"""The API with the page before it and browsers that sign in, over a memory store and without sockets."""

import json
from collections.abc import Mapping
from pathlib import Path

from runner_agent.api.app import Health, build_app
from runner_agent.api.asgi import App, Receive, Scope, Send, send_answer
from runner_agent.api.auth import PAGE_HEADER, Guard, Peer
from runner_agent.api.connect import sized
from runner_agent.api.methods import bound_methods
from runner_agent.api.sessions import Sessions
from runner_agent.api.sign_in import SESSION, SignIn
from runner_agent.web.site import ASSETS, site
from tests.api.transcript import OWNER, Reply, ask_as
from tests.api.world import AGENT, TOKEN, World

HOST = "127.0.0.1:7780"
ORIGIN = f"http://{HOST}"
METHOD = f"/{AGENT}/GetAgent"
OURS = {PAGE_HEADER: "dashboard"}
PAGES = ("http://127.0.0.1:7780/",)


class Door(World):
    """An agent as browsers meet it."""

    def __init__(self, signed_out: Path | None = None) -> None:
        super().__init__()
        self.sessions = Sessions(TOKEN, self.clock.now, self.clock.wall, signed_out)
        hosts = frozenset({"localhost", "agent.example"})
        guard = Guard(
            TOKEN, frozenset({0, 1000}), self.clock.now, hosts, self.log_tokens, sessions=self.sessions
        )
        sign_in = SignIn(guard, self.sessions, lambda: PAGES)

        def pages(path: str) -> App | None:
            if path == SESSION:
                return sign_in
            return site() if path == "/" or path.startswith(ASSETS) else None

        self.app = build_app(
            bound_methods(self.backend),
            guard,
            Health(lambda: self.ready),
            self.closing,
            {"/logs/": _a_log, **sign_in.routes()},
            pages=pages,
        )

    async def ask(self, verb: str, path: str, body: object = None, **headers: str) -> Reply:
        """A request over TCP."""
        return await self._ask(None, verb, path, body, headers)

    async def ask_socket(self, verb: str, path: str, body: object = None, **headers: str) -> Reply:
        """A request by the owner, over the unix socket."""
        return await self._ask(OWNER, verb, path, body, headers)

    async def _ask(
        self, peer: Peer | None, verb: str, path: str, body: object, headers: Mapping[str, str]
    ) -> Reply:
        data = b"" if body is None else json.dumps(body).encode()
        named = {"host": HOST, "content_type": "application/json", **headers}
        return await ask_as(peer, self.app, path, data, verb=verb, **named)

    async def code(self) -> str:
        """As `runner-agent dashboard` gets it."""
        reply = await self.ask_socket("POST", "/session/code")
        assert (reply.status, reply.json()["urls"]) == (200, list(PAGES))
        return str(reply.json()["code"])

    async def enter(self, secret: str, **headers: str) -> Reply:
        """As the page sends what it was given."""
        return await self.ask("POST", SESSION, {"code": secret}, **{"origin": ORIGIN, **OURS, **headers})

    async def browser(self) -> dict[str, str]:
        """The headers that the page of a browser that is signed in sends with everything."""
        reply = await self.enter(await self.code())
        assert reply.status == 200, reply.body
        return {"cookie": cookie_of(reply), **OURS}


def cookie_of(reply: Reply) -> str:
    """`name=value`."""
    return reply.headers["set-cookie"].partition(";")[0]


def attributes_of(reply: Reply) -> Mapping[str, str]:
    """Of the cookie that is set."""
    parts = [part.strip().partition("=") for part in reply.headers["set-cookie"].split(";")[1:]]
    return {name.lower(): value for name, _, value in parts}


async def _a_log(scope: Scope, _receive: Receive, send: Send) -> None:
    await send_answer(scope, send, sized(200, (), b"a line\n"))
