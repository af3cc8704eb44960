"""Two receivers to try mcwatch with: a syslog server over TCP and a webhook. Prints what arrives; Ctrl-C ends it.

Standard library only, so that it runs before anything is installed::

    python3 scripts/try_receivers.py [--syslog-port 5514] [--webhook-port 8080]
"""

import argparse
import asyncio
import gzip
import sys

_SHOWN = 300


def _show(receiver: str, text: bytes) -> None:
    sys.stdout.write(f"{receiver}: {text[:_SHOWN].decode('utf-8', 'replace')}\n")
    sys.stdout.flush()


async def _syslog(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read octet-counted frames (RFC 6587, section 3.4.1)."""
    try:
        while length := (await reader.readuntil(b" ")).strip():
            _show("syslog", await reader.readexactly(int(length)))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _webhook(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept every request and show the lines of its body."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            fields = dict(line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:] if b":" in line)
            body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
            if fields.get(b"content-encoding", b"").strip() == b"gzip":
                body = gzip.decompress(body)
            for line in body.splitlines():
                _show("webhook", line)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _serve(syslog_port: int, webhook_port: int) -> None:
    syslog = await asyncio.start_server(_syslog, "127.0.0.1", syslog_port)
    webhook = await asyncio.start_server(_webhook, "127.0.0.1", webhook_port)
    ports = [server.sockets[0].getsockname()[1] for server in (syslog, webhook)]
    sys.stdout.write(f"syslog on 127.0.0.1:{ports[0]}, webhook on http://127.0.0.1:{ports[1]}/\n")
    sys.stdout.flush()
    async with syslog, webhook:
        await asyncio.Event().wait()


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--syslog-port", type=int, default=5514)
    parser.add_argument("--webhook-port", type=int, default=8080)
    ports = parser.parse_args()
    try:
        asyncio.run(_serve(ports.syslog_port, ports.webhook_port))
    except KeyboardInterrupt:
        return
    except OSError as error:
        sys.exit(f"a port is taken: {error}; choose others with --syslog-port and --webhook-port")


if __name__ == "__main__":
    main()
