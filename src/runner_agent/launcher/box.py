"""The box: a folder of FIFOs, mounted into a container, and the shell script that serves it there.

Output goes through it raw, in the order written, and past the Engine, whose logs mend what is no UTF-8 and
keep all a second time. So do the first word and the last, the exit code: no Engine need answer for them.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

OUTLET, TOLD, ORDERS, CODE = "outlet", "told", "orders", "code"
SERVE, COMMAND = "serve", "command"
BEGUN = "begun"
TERM, END = "term", "end"

# The child of the container's init, for as long as anything of the run is left. If PID 1 is not its parent,
# the processes are not its container's alone, and `kill -1` would reach everybody's. The command is in its
# group, so SIGTERM for the group reaches it too: a trap bears that, and an ignored signal would be handed on.
# `term` ends what the command left behind. No variable is set before the command runs: it may be one of its
# own.
_SERVE = r"""
[ "$PPID" = 1 ] || { echo 'the container shares the processes of its host' >&2; exit 125; }
exec 3<>%(place)s/told 4<>%(place)s/orders 5>%(place)s/outlet || exit 125
%(init)s
umask 022
trap : TERM
echo begun >&3
if command -v bash >/dev/null 2>&1; then set -- bash -c %(bash)s; else set -- sh -c %(sh)s; fi
"$@" </dev/null >&5 2>&5 3>&- 4>&- 5>&-
set -- $?
exec 5>&-
echo "$1" >%(place)s/code
echo "$1" >&3
while :; do
  read -r order <&4
  case $order in
    term) kill -TERM -1; kill -CONT -1;;
    end) exit 0;;
  esac
done
"""


def place(run_id: str) -> str:
    """Where the box is in the run's container: nothing else can be there."""
    return f"/.runner-agent-{run_id}"


def serve(where: str, bash: str, sh: str, init: str) -> str:
    """The script that serves the box at `where`. `bash` and `sh` are what that shell is to run with -c,
    quoted; `init` restores what the container's init alone was to see.
    """
    return _SERVE % {"place": where, "bash": bash, "sh": sh, "init": init}


def make(folder: str, texts: "dict[str, str]") -> None:
    """The box of a run about to be started, open to whatever user the image has. Raises OSError.

    Its parent must let in only us. `texts` are files that are only read there.
    """
    try:
        os.mkdir(folder)
    except FileExistsError:
        pass
    os.chmod(folder, 0o755)  # noqa: S103 - so that others may pass, once they got that far
    for name in (OUTLET, TOLD, ORDERS):
        _ready(os.mkfifo, f"{folder}/{name}")
    _ready(lambda path: os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC)), f"{folder}/{CODE}")
    for name, text in texts.items():
        with open(f"{folder}/{name}", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.chmod(f"{folder}/{name}", 0o644)


def _ready(make_it: "Callable[[str], None]", path: str) -> None:
    try:
        make_it(path)
    except FileExistsError:
        pass
    os.chmod(path, 0o666)  # noqa: S103 - as above


class Box:
    """The attendant's side. Both ends of each FIFO are held, so that none is ever without the other."""

    def __init__(self, folder: str) -> None:
        """Raises OSError."""
        self._folder = folder
        self.told = os.open(f"{folder}/{TOLD}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._orders = os.open(f"{folder}/{ORDERS}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._rest = b""
        self.begun = False
        self.code: int | None = None

    def hear(self) -> None:
        """Take in what was told."""
        try:
            data = self._rest + os.read(self.told, 4096)
        except BlockingIOError:
            return
        *words, self._rest = data.split(b"\n")
        for word in words:
            if word == BEGUN.encode():
                self.begun = True
            elif word.isdigit():
                self.code = int(word)

    def order(self, word: str) -> None:
        """Have the script do it, now or when the command has ended."""
        try:
            os.write(self._orders, f"{word}\n".encode())
        except BlockingIOError:  # nobody has listened for 4,000 orders
            pass


def code_of(folder: str) -> int | None:
    """The exit code on record, if the command ended."""
    try:
        with open(f"{folder}/{CODE}", "rb") as file:
            text = file.read().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
