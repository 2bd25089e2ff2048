"""What can go wrong between a client and the agent, by what the caller can do about it."""


class ClientError(Exception):
    """The root. Its text is fit for a user."""


class BadAddress(ClientError):
    """The address given cannot be one."""


class AgentUnreachable(ClientError):
    """Nobody answers, or the one who did went away."""


class AgentLeft(AgentUnreachable):
    """It ended the conversation in order: it was told to stop, or to restart."""


class ApiError(ClientError):
    """The agent refused. `code` is a Connect code such as `not_found`; the text is the agent's own."""

    def __init__(self, code: str, message: str) -> None:
        """As the agent's answer states them."""
        super().__init__(message or code.replace("_", " "))
        self.code = code


class NoSuchAutomation(ClientError):
    """No service, task or execution goes by that name."""


class WaitTimedOut(ClientError):
    """What was waited for did not come in time. It is still under way: waiting changes nothing."""
