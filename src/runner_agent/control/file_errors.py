"""What is wrong with an automations file: every fault, each at its place (rule 2.5)."""

from dataclasses import dataclass

from runner_agent.model.errors import InvalidArgument, Violation


@dataclass(frozen=True, slots=True, order=True)
class FileError:
    """One fault. `line` and `column` count from 1, and are 0 where the file as a whole is at fault; `path` is
    `services.web.name`.
    """

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        """As one line: `automations.yaml:3:5: services.web.name: ...`."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (place, self.path, self.message) if part)


@dataclass(frozen=True, slots=True, order=True)
class FileWarning:
    """What is valid and will bite. `id` is the rule's, by which it can be switched off."""

    file: str
    line: int
    column: int
    path: str
    id: str
    message: str

    def __str__(self) -> str:
        """As one line: `automations.yaml:3:5: services.web.commands.start: warning: ... [id]`."""
        return f"{self.file}:{self.line}:{self.column}: {self.path}: warning: {self.message} [{self.id}]"


class FileErrors(InvalidArgument):
    """A file that cannot be applied; nothing of it was."""

    def __init__(self, errors: tuple[FileError, ...]) -> None:
        """In the order of the file."""
        super().__init__(*(Violation(error.path, error.message) for error in errors))
        self.errors = errors

    def __str__(self) -> str:
        """One fault a line."""
        return "\n".join(str(error) for error in self.errors)
