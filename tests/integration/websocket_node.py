"""Node.js with its library ws, driven by lines of JSON; there may be none."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from typing import Any

from tests.integration.serving import in_thread

FINDS_WS = "process.stdout.write(require.resolve('ws'))"

PROGRAM = """
const WebSocket = require(process.argv[1]);
const tell = (...event) => process.stdout.write(JSON.stringify(event) + "\\n");
const bytes = data => Buffer.concat([data].flat()).toString("base64");
const LARGEST = 32 * 1024 * 1024;
let socket;

function follow(opened) {
    socket = opened;
    socket.on("message", (data, isBinary) =>
        isBinary ? tell("bytes", bytes(data)) : tell("text", data.toString()));
    socket.on("pong", data => tell("pong", bytes(data)));
    socket.on("close", (code, reason) => tell("close", code, reason.toString()));
    socket.on("error", () => {});
    const opening = () => tell("open", socket.protocol, socket.extensions);
    socket.readyState === WebSocket.OPEN ? opening() : socket.on("open", opening);
}

const commands = {
    connect(url, subprotocols, ca) {
        follow(new WebSocket(url, subprotocols, { ca, maxPayload: LARGEST }));
        socket.on("unexpected-response", (_, response) => tell("refused", response.statusCode));
    },
    listen(pieces, goodbye) {
        const server = new WebSocket.Server({
            host: "127.0.0.1", port: 0, perMessageDeflate: true, maxPayload: LARGEST,
            handleProtocols: offered => offered.has("chat") ? "chat" : false,
            verifyClient: ({ req }, decide) => decide(req.url !== "/refused", 403),
        });
        server.on("listening", () => tell("listening", server.address().port));
        server.on("connection", opened => {
            follow(opened);
            opened.on("message", (data, isBinary) => {
                if (data == "pieces") send(pieces);
                else if (data == "ping") opened.ping();
                else if (data == "close") opened.close(...goodbye);
                else opened.send(data, { binary: isBinary });
            });
            opened.on("pong", () => opened.send("alive"));
        });
    },
    text(pieces) { send(pieces); },
    bytes(pieces) { send(pieces.map(piece => Buffer.from(piece, "base64"))); },
    ping(data) { socket.ping(Buffer.from(data, "base64")); },
    close(code, reason) { socket.close(code, reason); },
};

function send(pieces) {
    pieces.forEach((piece, n) => socket.send(piece, { fin: n === pieces.length - 1 }));
}

require("readline").createInterface({ input: process.stdin }).on("line", line => {
    const [name, ...values] = JSON.parse(line);
    commands[name](...values);
});
"""


@cache
def path_of_ws() -> str | None:
    """Where ws is, if there are Node and ws: where Node itself finds it, as in `NODE_PATH`."""
    node = shutil.which("node")
    if node is None:
        return None
    run = subprocess.run([node, "-e", FINDS_WS], capture_output=True, text=True, check=False)
    return run.stdout if run.returncode == 0 else None


class Node:
    """A process with one WebSocket, which is told what to do, and tells what happens."""

    def __init__(self) -> None:
        path = path_of_ws()
        assert path is not None
        self._process = subprocess.Popen(
            ["node", "-e", PROGRAM, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    async def tell(self, command: str, *values: object) -> None:
        """Let it do something."""
        await in_thread(self._tell, json.dumps([command, *values]))

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    async def event(self) -> list[Any]:
        """What happens next: its name, and what belongs to it; nothing at the end."""
        line = await in_thread(self._readline)
        event: list[Any] = json.loads(line) if line.endswith("\n") else []
        return event

    def _readline(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    async def kill(self) -> None:
        """End it. Whoever waits for an event is told."""
        self._process.kill()
        await in_thread(self._process.wait)

    async def aclose(self) -> None:
        """End it, and forget what it has told."""
        await self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
