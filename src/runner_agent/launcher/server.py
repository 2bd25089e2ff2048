"""The launcher's socket: who may ask, whose word counts, and which operation is which."""

import _socket as sockets  # see `system`
import os
import select

from runner_agent.launcher import system, wire
from runner_agent.launcher.order import Order
from runner_agent.launcher.procs import look
from runner_agent.launcher.runs import Runs
from runner_agent.launcher.wire import Frames, Message, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner_agent.launcher.runs import Answer

_PEER_CREDENTIALS = 12  # struct ucred: pid, uid, gid
_MAX_UNSENT = 2 * wire.MAX_FRAME
_MAX_CLIENTS = 64


class Connection:
    """One client: what it sent, what it is still to be told, and the epoch it said hello with."""

    def __init__(self, sock: sockets.socket) -> None:
        """The socket does not block."""
        self.sock = sock
        self.frames = Frames()
        self.unsent = bytearray()
        self.epoch: int | None = None
        self.open = True

    def say(self, message: Message) -> None:
        """Queue one message; a client that takes none of its answers is dropped."""
        try:
            self.unsent += wire.encode(message)
        except Refused as refused:
            self.unsent += wire.encode(_error(message.get("id"), refused))
        self.flush()
        if len(self.unsent) > _MAX_UNSENT:
            self.open = False

    def flush(self) -> None:
        """Send what the socket takes now."""
        try:
            while self.unsent:
                del self.unsent[: self.sock.send(self.unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.open = False


class Server:
    """Serves all clients from one loop. No request waits for another, for a client or for a holder."""

    def __init__(self, listener: sockets.socket, poll: select.poll, runs: Runs, version: str) -> None:
        """The listener does not block."""
        self.shut = False
        self._listener = listener
        self._poll = poll
        self._runs = runs
        self._version = version
        self._clients: dict[int, Connection] = {}
        self._epoch = -1
        self._reserve = os.open(os.devnull, os.O_RDONLY)
        poll.register(listener, select.POLLIN)

    def serve(self, descriptor: int, events: int) -> None:
        """Do what a descriptor is ready for."""
        if descriptor == self._listener.fileno():
            self._accept()
        elif (client := self._clients.get(descriptor)) is not None:
            if events & select.POLLOUT:
                client.flush()
            if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
                self._read(client)
            self._mind(client)

    def _accept(self) -> None:
        try:
            sock = system.accept(self._listener)
        except BlockingIOError:
            return
        except OSError:  # no descriptor left: turn the caller away, or the listener would stay ready for ever
            os.close(self._reserve)
            try:
                system.accept(self._listener).close()
            except OSError:
                pass
            self._reserve = os.open(os.devnull, os.O_RDONLY)
            return
        uid = int.from_bytes(
            sock.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, _PEER_CREDENTIALS)[4:8], "little"
        )
        if uid not in (0, os.geteuid()) or len(self._clients) >= _MAX_CLIENTS:
            sock.close()
            return
        sock.settimeout(0)
        self._clients[sock.fileno()] = Connection(sock)
        self._poll.register(sock, select.POLLIN)

    def _mind(self, client: Connection) -> None:
        """Poll for what the connection now needs, or let go of it."""
        descriptor = client.sock.fileno()
        if descriptor < 0:
            return
        if client.open:
            self._poll.modify(descriptor, select.POLLIN | (select.POLLOUT if client.unsent else 0))
        else:
            self._poll.unregister(descriptor)
            del self._clients[descriptor]
            client.sock.close()

    def _read(self, client: Connection) -> None:
        try:
            data = client.sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.open = client.open and bool(data)
        try:
            for message in client.frames.feed(data):
                if client.open:
                    self._do(client, message)
        except Refused as refused:
            client.say(_error(None, refused))
            client.open = False

    def _do(self, client: Connection, message: Message) -> None:
        """One request; its answer comes now or later."""
        number = message.get("id")

        def answer(result: "Message | Refused") -> None:
            if client.open:
                if isinstance(result, Refused):
                    client.say(_error(number, result))
                else:
                    client.say({"v": wire.VERSION, "id": number, "ok": result})
                self._mind(client)

        try:
            self._dispatch(client, message, answer)
        except Refused as refused:
            answer(refused)
        except OSError as error:
            answer(Refused("failed", f"{message.get('op')}: {error.strerror} ({error.filename})"))

    def _dispatch(self, client: Connection, message: Message, answer: "Answer") -> None:
        op = message.get("op")
        if message.get("v") != wire.VERSION:
            raise Refused(
                "version", f"version {message.get('v')!r} is not spoken; this launcher speaks {wire.VERSION}"
            )
        if op == "hello":
            answer(self._hello(client, message))
        elif client.epoch is None:
            raise Refused("no_hello", "say hello first")
        elif op == "start":
            self._runs.start(Order(message), answer)
        elif op == "find":
            self._runs.find(str(message.get("run_id")), str(message.get("dir")), answer)
        elif op == "survey":
            answer({"runs": self._runs.survey()})
        elif op == "ping":
            answer({})
        elif op == "shutdown":
            self.shut = True
            answer({})
        else:
            raise Refused(
                "unknown_op", f"{op!r} is not known; hello, start, find, survey, ping and shutdown are"
            )

    def _hello(self, client: Connection, message: Message) -> Message:
        """A newer epoch closes all older connections, with what they sent and we have not read."""
        epoch = message.get("epoch")
        if not isinstance(epoch, int):
            raise Refused("invalid", "epoch: a whole number is due")
        if epoch < self._epoch:
            raise Refused("fenced", f"epoch {epoch} is over; {self._epoch} has said hello")
        self._epoch = client.epoch = epoch
        for other in tuple(self._clients.values()):
            if other.epoch is not None and other.epoch < epoch:
                other.open = False
                self._mind(other)
        me = look(os.getpid())
        return {
            "pid": os.getpid(),
            "start": me.start if me else 0,
            "boot": self._runs.boot,
            "version": self._version,
            "redacts": True,
            "shares": True,
        }


def _error(number: object, refused: Refused) -> Message:
    return {"v": wire.VERSION, "id": number, "error": {"code": refused.code, "message": refused.text}}
