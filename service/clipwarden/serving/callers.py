"""A call in, the name of its caller out: who it is by its certificate, or which connection it came by."""

from clipwarden.serving.context import Context


def caller_of(context: Context) -> str:
    """Name who calls: whoever has the same name shares one caller's part of the machine.

    Args:
        context: Of the call.

    Returns:
        The names in the client's certificate, where one was asked for and checked. Otherwise gRPC's name of the peer:
        address and port, and so the connection; all that come by a Unix socket are `unix:`.
    """
    names = context.peer_identities()
    if names:
        return "certificate:" + ",".join(sorted(name.decode(errors="replace") for name in names))
    return str(context.peer())
