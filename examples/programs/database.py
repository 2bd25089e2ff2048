"""A very small database: notes by key over TCP, kept in a journal that wants to be closed.

Requests are single JSON lines such as `["put", "colour", "blue"]`; each is answered by one JSON value.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import socketserver
import sys
import threading
from pathlib import Path

CLOSED = ["closed"]  # the journal's last line after an orderly end


class Notes:
    """All notes in memory; every change is on disk before it is answered."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        self.notes = {entry[1]: entry[2] for entry in lines if entry[0] == "put"}
        how = "new" if not lines else "closed in order" if lines[-1] == CLOSED else "not closed, recovered"
        print(f"journal {path}: {len(self.notes)} notes, {how}", flush=True)
        self.journal = path.open("a")
        self.lock = threading.Lock()

    def put(self, key: str, value: str) -> None:
        with self.lock:
            self.write(["put", key, value])
            self.notes[key] = value

    def close(self) -> None:
        with self.lock:
            self.write(CLOSED)
            self.journal.close()
        print("journal closed", flush=True)

    def write(self, entry: list[str]) -> None:
        self.journal.write(json.dumps(entry) + "\n")
        self.journal.flush()
        os.fsync(self.journal.fileno())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, notes: Notes) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.notes = notes


class Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        match json.loads(self.rfile.readline()):
            case ["ping"]:
                self.answer("ready")
            case ["put", str(key), str(value)]:
                self.server.notes.put(key, value)
                self.answer("kept")
            case ["list"]:
                self.answer(self.server.notes.notes)
            case ["shutdown"]:
                self.answer("bye")
                self.server.shutdown()
                threading.Event().wait()  # the end of the process is what ends this connection
            case other:
                self.answer(f"not understood: {other}")

    def answer(self, value: object) -> None:
        self.wfile.write(json.dumps(value).encode() + b"\n")


def ask(port: int, *request: str) -> object:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile() as answer:
            return json.loads(answer.readline())


def shut_down(port: int) -> str:
    """Returns when the server has ended, as `pg_ctl stop -w` does: what is left then is killed at once."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b'["shutdown"]\n')
        while connection.recv(4096):
            pass
    return "the server has ended"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["serve", "ping", "put", "list", "shutdown"])
    parser.add_argument("words", nargs="*", help="for put: key and value")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, default=Path("notes.journal"), help="the journal, for serve")
    given = parser.parse_intermixed_args()  # options may stand before key and value
    if given.verb == "serve":
        with Server(given.port, Notes(given.file)) as server:
            print(f"listening on 127.0.0.1:{given.port}", flush=True)
            server.serve_forever()
        server.notes.close()
        return
    try:
        ends = given.verb == "shutdown"
        answer = shut_down(given.port) if ends else ask(given.port, given.verb, *given.words)
    except OSError as error:
        sys.exit(f"no database on port {given.port}: {error}")
    print("\n".join(f"{key}: {note}" for key, note in answer.items()) if isinstance(answer, dict) else answer)


if __name__ == "__main__":
    main()
