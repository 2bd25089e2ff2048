"""Secrets as runs are given them: resolved when a run starts, remembered so that nothing shows them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field

import structlog

from runner_agent.model.errors import CannotStart
from runner_agent.model.frozen import dataclass
from runner_agent.secrets.folders import Found
from runner_agent.secrets.known import KnownSecrets, Redaction
from runner_agent.secrets.stores import Missing, SecretStores

log = structlog.get_logger("secrets")


@dataclass(frozen=True, slots=True)
class Given:
    """Values by variable. `left_out`: variables of every run that this one does without, and why."""

    values: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])


class RunSecrets:
    """One for all runs. `environment` is what every run is given below its spec's own: ids by variable (rule
    5.2).
    """

    def __init__(
        self, stores: SecretStores | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._stores = stores or SecretStores()
        self._environment = dict(environment or {})
        self.known = KnownSecrets()
        self._recalling = asyncio.Lock()
        self._recalled = False
        self._lost: set[str] = set()

    def wanted(self, own: Mapping[str, str], overridden: Iterable[str] = ()) -> dict[str, str]:
        """Ids by variable of a run: those of every run that are not `overridden`, and its spec's own."""
        return {name: id_ for name, id_ in self._environment.items() if name not in {*overridden}} | {**own}

    async def given(self, wanted: Mapping[str, str], overridden: Iterable[str] = ()) -> Given:
        """Values for the ids `wanted` by variable, and for those of every run that are not `overridden`.

        Raises CannotStart naming each that cannot be resolved (rule 5.7).
        """
        asked = self.wanted(wanted, overridden)
        found = await self._look(asked.values())
        values: dict[str, str] = {}
        wrong: list[str] = []
        left_out: dict[str, str] = {}
        for name, id_ in asked.items():
            one = found[id_]
            if isinstance(one, Found):
                values[name] = one.value
            elif one.closed and name not in wanted:
                left_out[name] = f"secret {id_}: {one.reason}"
            else:
                wrong.append(f"variable {name} refers to secret {id_}, and {one.reason}")
        if wrong:
            raise CannotStart("; ".join(wrong))
        return Given(values, left_out)

    async def recall(self, ids: Callable[[], Iterable[str]]) -> None:
        """Once: look again for what runs of before this agent's start were given, so that it stays hidden."""
        async with self._recalling:
            if self._recalled:
                return
            wanted = {*ids(), *self._environment.values()}
            found = await self._look(id_ for id_ in wanted if not self.known.knows(id_))
            self._recalled = True
        for id_, one in found.items():
            if isinstance(one, Missing) and not one.closed:
                log.warning("a secret cannot be read again", secret=id_, reason=one.reason)
                self._lost.add(id_)

    def redaction(self, ids: Iterable[str] = ()) -> Redaction:
        """For a run that was given these by its spec."""
        return Redaction(self.known, (*ids, *self._lost.intersection(self._environment.values())))

    async def _look(self, ids: Iterable[str]) -> Mapping[str, Found | Missing]:
        found = await self._stores.look(ids)
        for id_, one in found.items():
            if isinstance(one, Found):
                self.known.learn(id_, one.value)
        return found
