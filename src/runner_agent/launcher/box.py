"""The box: a folder of FIFOs, mounted into a container, and the shell script that serves it there.

Output goes through it raw, in the order written, and past the Engine, whose logs mend what is no UTF-8 and
keep all a second time. So do the first word and the last, the exit code: no Engine need answer for them.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PLACE = "/.runner-agent"
OUTLET, TOLD, ORDERS, CODE = "outlet", "told", "orders", "code"
BEGUN = "begun"
TERM, END = "term", "end"

# The child of the container's init, for as long as anything of the run is left. If PID 1 is not its parent,
# the processes are not its container's alone, and `kill -1` would reach everybody's. The command is in its
# group, so SIGTERM for the group reaches it too: a trap bears that, and an ignored signal would be handed on.
# `term` ends what the command left behind.
SCRIPT = r"""
[ "$PPID" = 1 ] || { echo 'the container shares the processes of its host' >&2; exit 125; }
exec 3<>/.runner-agent/told 4<>/.runner-agent/orders 5>/.runner-agent/outlet || exit 125
unset TINI_KILL_PROCESS_GROUP
umask 022
trap : TERM
echo begun >&3
if command -v bash >/dev/null 2>&1; then shell=bash; else shell=sh; fi
"$shell" -c "$1" </dev/null >&5 2>&5 3>&- 4>&- 5>&-
code=$?
exec 5>&-
echo "$code" >/.runner-agent/code
echo "$code" >&3
while :; do
  read -r order <&4
  case $order in
    term) kill -TERM -1; kill -CONT -1;;
    end) exit 0;;
  esac
done
"""


def make(folder: str) -> None:
    """The box of a run about to be started, open to whatever user the image has. Raises OSError.

    Its parent must let in only us.
    """
    try:
        os.mkdir(folder)
    except FileExistsError:
        pass
    os.chmod(folder, 0o755)  # noqa: S103 - so that others may pass, once they got that far
    for name in (OUTLET, TOLD, ORDERS):
        _ready(os.mkfifo, f"{folder}/{name}")
    _ready(lambda path: os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC)), f"{folder}/{CODE}")


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
