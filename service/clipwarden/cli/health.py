"""clipwarden health: a server's address in, whether calls may come out; for probes that run a command, and for scripts.

As `clipwarden` it runs by a shorter way: see `start`.
"""

from typing import Annotated

import typer

from clipwarden.cli.healthanswers import TIMEOUT_SECONDS, ask_until, asking
from clipwarden.cli.serveroptions import ClientCertificate, ClientKey, RootCertificates, ServerName, ServerOptions, Tls


def health(
    address: Annotated[
        str | None,
        typer.Argument(
            metavar="ADDRESS",
            help="HOST:PORT or unix:PATH of gRPC, or http://HOST:PORT of probes. Default: what the settings of this "
            "environment say a server listens on: CLIPWARDEN_PROBE_LISTEN, else CLIPWARDEN_UNIX_SOCKET, else "
            "CLIPWARDEN_LISTEN.",
            show_default=False,
        ),
    ] = None,
    *,
    live: Annotated[
        bool, typer.Option("--live", help="Ask whether a restart would help, not whether calls may come.")
    ] = False,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", help="Ask again for so long, until the answer is good.")
    ] = 0.0,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="Longest wait for one answer.")
    ] = TIMEOUT_SECONDS,
    tls: Tls = False,
    root_certificates: RootCertificates = None,
    client_certificate: ClientCertificate = None,
    client_key: ClientKey = None,
    server_name: ServerName = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Ask a server whether it serves: 0 yes, 6 no, 7 nobody answers there.

    Says the state (serving, starting, stalled, unhealthy or draining), and what is wrong although it serves.

    **Examples**

    - `clipwarden health`

    - `clipwarden health http://localhost:8081 --wait 120`

    - `clipwarden health unix:/run/clipwarden/clipwarden.sock --json`
    """
    secured = ServerOptions(
        tls=tls,
        root_certificates=root_certificates,
        client_certificate=client_certificate,
        client_key=client_key,
        server_name=server_name,
    )
    ask = asking(address, live=live, tls=secured.given())
    answer = ask_until(ask, wait_seconds=wait, timeout_seconds=timeout)
    typer.echo(answer.as_json() if as_json else answer.as_text())
    return answer.code
