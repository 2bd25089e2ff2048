"""The Engine's API as the executor needs it, its errors made ours. aiodocker is loaded when first asked."""

import asyncio
import errno
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

from runner_agent.executors.docker_address import Choice
from runner_agent.executors.docker_login import login, with_registry
from runner_agent.executors.docker_words import away, cannot_pull, explained, strange
from runner_agent.launcher.engine import beginning, later, sentence
from runner_agent.model.errors import CannotStart, RunnerError, Unavailable
from runner_agent.model.frozen import dataclass

if TYPE_CHECKING:
    from aiodocker import Docker, DockerError
    from aiodocker.types import JSONValue
    from aiohttp import TraceRequestEndParams, TraceRequestRedirectParams

PATIENCE = 60.0
"""Seconds for an answer other than a pull's."""
_CANNOT_CONNECT = 900  # a status of aiodocker's own
_UNKNOWN = 0

_MEANT = (
    ("no such container", 404),
    ("name is already in use", 409),
    *((f"is in state {one}:", 409) for one in ("configured", "created", "stopped", "exited")),
)
"""What Podman says with status 500. One that is being stopped or removed is not over yet."""

Config = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Layer:
    """One of an image being pulled. Bytes, 0 as long as they are not known."""

    name: str
    status: str
    done: int = 0
    total: int = 0


class DockerEngine:
    """One Engine. Raises Unavailable when it cannot be reached, CannotStart when it may not or will not."""

    def __init__(self, choice: Choice) -> None:
        """Connects to nothing yet."""
        self._choice = choice
        self._docker: Docker | None = None
        self._address = ""

    @property
    def address(self) -> str:
        """As of now. Raises CannotStart for one that cannot be used."""
        return self._choice.address()

    async def has_image(self, image: str) -> bool:
        """Is it here?"""
        async with self._asked(image) as docker:
            from aiodocker import DockerError

            try:
                _mapping(await docker.images.inspect(image))
            except DockerError as error:
                if error.status == 404:
                    return False
                raise
        return True

    async def pull(self, image: str) -> AsyncGenerator[Layer]:
        """Get it; each step as it comes. Ends early, the pull with it, when it is closed."""
        from aiodocker import DockerError

        async with self._asked(image) as docker:
            info = _mapping(await docker._query_json("info"))  # noqa: SLF001  typed
            auth = await login(image, self._choice.folder(), str(info.get("IndexServerAddress", "")))
            name = with_registry(image) if auth else image
            try:
                steps = 0
                async for step in docker.images.pull(name, auth=auth, stream=True):
                    steps += 1
                    yield _layer(_mapping(step))
            except DockerError as error:
                if error.status == _CANNOT_CONNECT or later(error.status, _words(error)):
                    raise
                raise CannotStart(cannot_pull(image, _words(error))) from None
        if not await self.has_image(image):  # the end of a stream does not say whether it was cut
            if steps:
                raise Unavailable(f"the pull of image {image} was cut off")
            raise CannotStart(cannot_pull(image, "the Engine ended the pull without a word"))

    async def inspect(self, id_: str) -> Mapping[str, object]:
        """All that is known of a container."""
        async with self._asked("") as docker:
            return _mapping(await docker._query_json(f"containers/{id_}/json"))  # noqa: SLF001

    async def create(self, name: str, config: Config) -> str:
        """The container's id; the same for the same name, if it has the same labels."""
        from aiodocker import DockerError

        async with self._asked(str(config["Image"])) as docker:
            try:
                made = await docker.containers.create(cast("dict[str, JSONValue]", config), name=name)
            except DockerError as error:
                if _status(error) != 409:
                    raise
                return _same(await self.inspect(name), name, config)
            return str(made.id)

    async def kill(self, id_: str) -> bool:
        """SIGKILL to all of it, frozen or not; False if it does not run."""
        return await self._plain("POST", f"containers/{id_}/kill", 409)

    async def remove(self, id_: str) -> bool:
        """With all that is in it; False if there is none."""
        return await self._plain("DELETE", f"containers/{id_}?force=1&v=1", 409)

    async def containers(self, *labels: str) -> list[Mapping[str, object]]:
        """All that carry these labels (`name=value`), running or not."""
        async with self._asked("") as docker:
            query = {"all": "1", "filters": json.dumps({"label": list(labels)})}
            found: object = await docker._query_json("containers/json", params=query)  # noqa: SLF001  as it came
            if not isinstance(found, list):
                raise TypeError(f"{type(found).__name__} where a list is due")
            return [_mapping(one) for one in cast("list[object]", found)]

    async def aclose(self) -> None:
        """Hang up."""
        if self._docker is not None:
            docker, self._docker = self._docker, None
            await docker.close()

    async def _plain(self, method: str, path: str, *also_no: int) -> bool:
        from aiodocker import DockerError

        async with self._asked("") as docker:
            try:
                async with docker._query(path, method=method):  # noqa: SLF001  by name, without looking first
                    return True
            except DockerError as error:
                if _status(error) in {404, *also_no}:
                    return False
                raise

    @asynccontextmanager
    async def _asked(self, image: str) -> AsyncGenerator["Docker"]:
        """The client, and its errors in our terms: all of them, as an answer can be anything."""
        import aiohttp
        from aiodocker import DockerError

        address = self.address
        try:
            yield await self._client(address)
        except RunnerError:
            raise
        except DockerError as error:
            if error.status == _CANNOT_CONNECT:
                raise _away(address, error) from None
            if later(error.status, _words(error)):
                raise Unavailable(f"the Docker Engine cannot do it now: {_words(error)}") from None
            raise CannotStart(explained(_words(error), image)) from None
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
            raise _away(address, error) from None
        except Exception as error:  # noqa: BLE001  the library reads what came as it likes
            raise CannotStart(strange(address, _what(error))) from None

    async def _client(self, address: str) -> "Docker":
        import aiohttp
        from aiodocker import Docker

        if self._docker is not None and self._address != address:
            await self.aclose()
        if self._docker is None:
            docker = Docker(url=address, timeout=aiohttp.ClientTimeout(total=PATIENCE))
            watch = aiohttp.TraceConfig()
            watch.on_request_redirect.append(_sent_elsewhere)
            watch.on_request_end.append(_refused)
            watch.freeze()
            docker.session.trace_configs.append(watch)
            self._docker, self._address = docker, address
        return self._docker


async def _sent_elsewhere(_: object, __: object, told: "TraceRequestRedirectParams") -> None:
    """No Engine does that: what it redirects are names that it cannot read (`//`)."""
    await asyncio.sleep(0)
    told.response.close()
    raise ValueError(
        f"status {told.response.status}, a redirection to {told.response.headers.get('Location')}"
    )


async def _refused(_: object, __: object, told: "TraceRequestEndParams") -> None:
    """Read as an attendant reads it: the library takes a refusal for one of an Engine, whatever it says."""
    from aiodocker import DockerError

    status = told.response.status
    if status < 400:
        return
    body = await told.response.read()
    text = sentence(body)
    if text or later(status, ""):
        raise DockerError(status, text)
    raise ValueError(f"status {status}{beginning(body)}")


def _status(error: "DockerError") -> int:
    """As Docker would have it. That there is no such thing counts in the Engine's own words only."""
    said = _words(error).lower()
    status = next((status for mark, status in _MEANT if mark in said), error.status)
    return _UNKNOWN if status == 404 and "no such" not in said else status


def _words(error: "DockerError") -> str:
    """The Engine's; in the stream of a pull they can be anything, which is shown as it came."""
    message: object = error.message
    return str(message).strip() or f"status {error.status}"


def _what(error: Exception) -> str:
    """Of an answer that could not be read."""
    if isinstance(error, RecursionError):
        return "it nests too deeply"
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def _mapping(value: object) -> Mapping[str, object]:
    """Raises TypeError for what is no JSON object."""
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} where an object is due")
    return cast("Mapping[str, object]", value)


def _same(found: Mapping[str, object], name: str, config: Config) -> str:
    """The id of the container that has the name already. Raises CannotStart for somebody else's."""
    wanted = _mapping(config.get("Labels") or {})
    labels = _mapping(_mapping(found["Config"]).get("Labels") or {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        raise CannotStart(f"the container {name} is there, and not this agent's; remove or rename it")
    return str(found["Id"])


def _layer(step: Mapping[str, object]) -> Layer:
    detail = _mapping(step.get("progressDetail") or {})
    done, total = (int(str(detail.get(name) or 0)) for name in ("current", "total"))
    return Layer(str(step.get("id", "")), str(step.get("status", "")), done, total)


def _away(address: str, error: BaseException) -> Unavailable | CannotStart:
    number = _number(error)
    text = away(address, number, str(error) or "no answer in time")
    return CannotStart(text) if number == errno.EACCES else Unavailable(text)


def _number(error: BaseException | None) -> int | None:
    """The errno at the root of it, if there is one."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            return error.errno
        error = error.__cause__ or error.__context__
    return None
