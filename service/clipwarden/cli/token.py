"""clipwarden token: a name in, a new token and the line for the server's file of tokens out."""

from pathlib import Path
from typing import Annotated

import typer

from clipwarden.terminal import notice


def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whom the token is for, as the server's log names it.")],
    *,
    append: Annotated[
        Path | None, typer.Option("--append", metavar="FILE", help="Append the line to this file of tokens.")
    ] = None,
) -> None:
    """Make a token for somebody who calls a server, and the line that lets it in.

    The token is 256 random bits, is printed this once, and is kept nowhere: the line holds its SHA-256 alone. The line
    goes into the file that `clipwarden serve --tokens FILE` reads, which a running server takes up within seconds; the
    token goes to whoever calls, who sends it as `authorization: Bearer TOKEN`.

    To change somebody's token, add the new line, give the new token out, and then remove the old line: a name may have
    several tokens at a time.

    **Examples**

    - `clipwarden token uploads` prints the line and the token.

    - `clipwarden token uploads --append tokens` puts the line where it belongs, and prints the token alone, so that
      `clipwarden token uploads --append tokens > uploads.token` keeps it off the screen.
    """
    from clipwarden.serving.tokens import append_line, line_of, make_token

    secret = make_token()
    line = line_of(name, secret)
    if append is None:
        typer.echo(f"line for the file of tokens:\n{line}\ntoken, shown this once:\n{secret}")
        return
    append_line(append, line)
    notice(f"{append} has a new line for {name}; the token follows, this once.")
    typer.echo(secret)
