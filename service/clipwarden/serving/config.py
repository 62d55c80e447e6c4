"""Every setting of the server, documented once: flags, environment variables, help and docs/operate.md read it here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TypeVar

from clipwarden.engine.settings import ENCODER_NICENESS, EngineSettings
from clipwarden.errors import ConfigError
from clipwarden.serving import values
from clipwarden.vision.limits import LEAST_DECODE_BYTES, DecodeLimits

T = TypeVar("T")

_ENGINE = EngineSettings()

ENV_PREFIX = "CLIPWARDEN_"
AUTO = "auto"
MESSAGE_MARGIN = 64 * 1024
"""Bytes that a request may add around its image: ids and options are at most 128 bytes each, so this is plenty."""

MOST_MESSAGE_BYTES = 2**31 - 1
"""Largest message. Source: protobuf's own limit, and gRPC's 32-bit option."""


RETIRED_SETTINGS: Mapping[str, str] = {
    "max_pixels": (
        "is no setting any more: what an image takes to decode is bounded, not its pixels. Set max_decode_bytes "
        "instead, such as 1GiB, the default, for some 45 million pixels in any format and 200 million of a usual JPEG"
    )
}
"""Settings of earlier versions, with what to write in their place, as the end of a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingDocs:
    """What people are told about a setting, and how its text is read.

    Attributes:
        name: Key in a settings file.
        default: Value when nobody says otherwise.
        help: One or two sentences.
        unit: Placeholder in help, such as SECONDS.
        read: Turns text into a value, or raises ValueError with the end of a sentence.
        repeated: Whether it is a list.
    """

    name: str
    default: object
    help: str
    unit: str
    read: Callable[[str], object]
    repeated: bool

    @property
    def flag(self) -> str:
        """Option of `clipwarden serve`."""
        # One policy a flag: `--policy a --policy b`.
        singular = {"policies": "policy", "candidates": "candidate"}
        return "--" + singular.get(self.name, self.name).replace("_", "-")

    @property
    def default_text(self) -> str:
        """The default as people would write it."""
        if isinstance(self.default, bool):
            return str(self.default).lower()
        if self.default is None or self.default == ():
            return "none"
        if self.unit == "BYTES" and isinstance(self.default, int):
            return f"{self.default // 2**30}GiB" if self.default % 2**30 == 0 else f"{self.default // 2**20}MiB"
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)

    @property
    def variable(self) -> str:
        """Environment variable."""
        return ENV_PREFIX + self.name.upper()


def _setting(default: T, *, unit: str, read: Callable[[str], object], help: str, repeated: bool = False) -> T:  # noqa: A002  what it is called everywhere
    metadata = {"unit": unit, "read": read, "help": help, "repeated": repeated}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the server does, checked; `sources.load_settings` fills it from flags, environment and file.

    Raises:
        ConfigError: Settings contradict one another.
    """

    listen: str | None = _setting(
        "127.0.0.1:50051",
        unit="HOST:PORT",
        read=values.address,
        help="TCP address to listen on. Port 0 takes a free one; empty turns TCP off.",
    )
    unix_socket: str | None = _setting(
        None, unit="PATH", read=values.socket_path, help="Unix socket to listen on as well, for sidecars."
    )
    unix_socket_mode: str = _setting(
        "600",
        unit="OCTAL",
        read=values.socket_mode,
        help="Permissions of the Unix socket; whoever may write may call. 600: the server's own user (and root) alone; "
        "660: the group too.",
    )
    unix_socket_group: str | None = _setting(
        None,
        unit="GROUP",
        read=values.account,
        help="Group of the Unix socket, a name or a number. None: that of the process, or of a setgid folder.",
    )
    unix_socket_owner: str | None = _setting(
        None,
        unit="USER",
        read=values.account,
        help="Owner of the Unix socket, a name or a number; another than the process's takes root. None: its own.",
    )
    probe_listen: str | None = _setting(
        None,
        unit="HOST:PORT",
        read=values.address,
        help="Address for probes over plain HTTP: /livez and /readyz, from before the model is loaded. Port 0 takes a "
        "free one; none by default, since kubelets reach no loopback address and it takes no credentials.",
    )
    path_root: str | None = _setting(
        None,
        unit="PATH",
        read=values.path,
        help=(
            "Folder of a volume that callers share: they may name a file below it instead of sending its bytes. None: "
            "no file is read for anybody."
        ),
    )
    path_callers: str = _setting(
        "unix",
        unit="WHO",
        read=values.choice("unix", "all"),
        help=(
            "Whose calls may name files: those that come by the Unix socket (unix), or anybody's who reaches the "
            "server (all)."
        ),
    )
    tls_certificate: str | None = _setting(
        None,
        unit="PATH",
        read=values.path,
        help="PEM file of the TLS certificate and its chain, for TCP; tls_key goes with it. New files are taken up.",
    )
    tls_key: str | None = _setting(
        None, unit="PATH", read=values.path, help="PEM file of the certificate's private key, not encrypted."
    )
    tls_client_ca: str | None = _setting(
        None,
        unit="PATH",
        read=values.path,
        help="PEM file of authorities: every TCP client has to show a certificate of one of them (mTLS).",
    )
    tokens: str | None = _setting(
        None,
        unit="PATH",
        read=values.path,
        help="File of bearer tokens, one of which every call has to bring, health excepted. New ones are taken up.",
    )
    metrics_listen: str | None = _setting(
        "127.0.0.1:9464",
        unit="HOST:PORT",
        read=values.address,
        help="Address of the Prometheus metrics. Port 0 takes a free one; empty turns them off.",
    )
    model: str = _setting(
        "mini", unit="MODEL", read=values.plain_text, help='Model folder, or "mini" for the embedded model.'
    )
    policies: tuple[str, ...] = _setting(
        (),
        unit="POLICY",
        read=values.plain_text,
        repeated=True,
        help=(
            "Policy to load: a YAML file, a bundle, or the name of a shipped policy. May be repeated; commas separate "
            'them in the variable. None: "stickers" for the embedded model, "default" for any other.'
        ),
    )
    candidates: tuple[str, ...] = _setting(
        (),
        unit="POLICY",
        read=values.plain_text,
        repeated=True,
        help=(
            "Policy that only watches: another version of a loaded policy, of the same id. Judged beside it on every "
            "image, logged and counted, never returned. May be repeated, and is named as a policy is."
        ),
    )
    watch_policies: bool = _setting(
        default=True,
        unit="BOOLEAN",
        read=values.switch,
        help="Whether files of policies and candidates, and of the vectors and heads that they name, are loaded again "
        "when they change. SIGHUP has them loaded in any case.",
    )
    default_policy: str | None = _setting(
        None,
        unit="ID",
        read=values.optional_text,
        help="Id of the policy for requests that name none. None: the first one loaded.",
    )
    provider: str = _setting(
        "CPUExecutionProvider",
        unit="PROVIDER",
        read=values.plain_text,
        help="onnxruntime execution provider that must run the model, such as CUDAExecutionProvider.",
    )
    vector_cache: str | None = _setting(
        AUTO,
        unit="PATH",
        read=values.path,
        help=(
            'Folder that keeps the vectors of policy texts between starts; "auto" takes the user\'s cache folder, '
            "empty keeps none. Whoever may write there may change verdicts."
        ),
    )
    encoder_threads: int = _setting(
        0,
        unit="THREADS",
        read=values.integer(low=0, high=1024),
        help="Threads that one run of the image encoder computes with. 0: 1, which is best with several runs.",
    )
    encoder_runs: int = _setting(
        _ENGINE.encoder_runs,
        unit="RUNS",
        read=values.integer(low=0, high=1024),
        help="Runs of the encoder at the same time. 0: as many as the process may use CPUs, rounded up, and one more "
        "from two CPUs on; 1 on a GPU.",
    )
    decode_threads: int = _setting(
        _ENGINE.decode_threads,
        unit="THREADS",
        read=values.integer(low=0, high=1024),
        help="Images decoded at the same time. 0: as many as the process may use CPUs, rounded up.",
    )
    max_batch: int = _setting(
        _ENGINE.max_batch,
        unit="VIEWS",
        read=values.integer(low=0, high=1024),
        help="Most views of one run, where the model allows so many. 0: 1 on CPUs, 32 elsewhere.",
    )
    max_image_bytes: int = _setting(
        _ENGINE.limits.max_image_bytes,
        unit="BYTES",
        read=values.size,
        help="Largest image file; more is IMAGE_TOO_LARGE.",
    )
    max_decode_bytes: int = _setting(
        _ENGINE.limits.max_decode_bytes,
        unit="BYTES",
        read=values.size_from(LEAST_DECODE_BYTES, "which a small picture takes"),
        help=(
            "Most memory that decoding one image may hold; more is IMAGE_TOO_MANY_PIXELS. Also the most that all "
            "decodes at work hold together: others wait, but for those below 1/32 of it."
        ),
    )
    # One image of the largest size in a message, and a few of usual ones beside it.
    max_message_bytes: int = _setting(
        80 * 2**20,
        unit="BYTES",
        read=values.size,
        help="Largest gRPC message, and so the most bytes in a batch; gRPC itself refuses larger ones.",
    )
    queue_items: int = _setting(
        _ENGINE.queue_items,
        unit="IMAGES",
        read=values.integer(low=1, high=1_000_000),
        help=(
            "Most images at work or waiting, of which one caller may have as many as are free: half, if it is alone. "
            "More is OVERLOADED."
        ),
    )
    queue_bytes: int = _setting(
        _ENGINE.queue_bytes,
        unit="BYTES",
        read=values.size,
        help=(
            "Most bytes of images at work or waiting, where a message that is being read counts as max_message_bytes; "
            "more is OVERLOADED."
        ),
    )
    cache_bytes: int = _setting(
        _ENGINE.cache_bytes,
        unit="BYTES",
        read=values.size_or_none,
        help="Most bytes of embeddings kept in memory for images that come again. 0: none are kept.",
    )
    default_deadline_seconds: float = _setting(
        10.0,
        unit="SECONDS",
        read=values.seconds,
        help=(
            "Deadline of a call, or of a stream's item, for which the client sets none. 0: none, and it waits as long "
            "as it takes."
        ),
    )
    max_call_items: int = _setting(
        64, unit="IMAGES", read=values.integer(low=1, high=10_000), help="Most images of one BatchModerate call."
    )
    call_in_flight: int = _setting(
        32,
        unit="IMAGES",
        read=values.integer(low=1, high=10_000),
        help="Most images of one batch or stream at work at the same time; a stream then stops reading.",
    )
    max_streams: int = _setting(
        8,
        unit="STREAMS",
        read=values.integer(low=1, high=10_000),
        help=(
            "Most StreamModerate calls open at the same time, of which one caller may have as many as are free: half, "
            "rounded up, if it is alone. More is OVERLOADED. Each may hold one message of max_message_bytes beside its "
            "images at work."
        ),
    )
    max_connections: int = _setting(
        4096,
        unit="CONNECTIONS",
        read=values.integer(low=1, high=1_000_000),
        help=(
            "Most connections of the TCP port, and as many of the Unix socket; further ones are closed at once. The "
            "limit of open files is raised for them as far as it may be, and they are fewer where it is too low."
        ),
    )
    stall_seconds: float = _setting(
        _ENGINE.stall_seconds,
        unit="SECONDS",
        read=values.seconds,
        help=(
            "Time after which one decode or one run of the encoder counts as stuck: its calls fail. Health is "
            "NOT_SERVING once no thread of its kind is left."
        ),
    )
    drain_delay_seconds: float = _setting(
        2.0,
        unit="SECONDS",
        read=values.seconds,
        help="Time between NOT_SERVING and refusing new calls, for load balancers to notice.",
    )
    drain_seconds: float = _setting(
        20.0, unit="SECONDS", read=values.seconds, help="Most time that accepted calls get to finish at shutdown."
    )
    keepalive_seconds: float = _setting(
        60.0, unit="SECONDS", read=values.seconds, help="Time between pings to silent clients. 0: none."
    )
    min_ping_seconds: float = _setting(
        10.0,
        unit="SECONDS",
        read=values.seconds,
        help="Least time between a client's own pings; clients that ping faster are cut off (too_many_pings).",
    )
    max_connection_age_seconds: float = _setting(
        0.0,
        unit="SECONDS",
        read=values.seconds,
        help=(
            "Time after which a client is told to connect anew, give or take a tenth; what it has under way ends on "
            "the old connection. Clients that balance then look up which servers there are. 0: never."
        ),
    )
    reflection: bool = _setting(
        default=True,
        unit="BOOLEAN",
        read=values.switch,
        help="Whether gRPC tools may ask for the service's description.",
    )
    scheduling: str = _setting(
        "batch",
        unit="HOW",
        read=values.choice("batch", "inherit"),
        help="How the encoder's threads are scheduled: as batch work that yields cores to the event loop (batch, on "
        "Linux), or as the process that started them (inherit).",
    )
    audit_log: str | None = _setting(
        None,
        unit="PATH",
        read=values.path,
        help='File that a line for each image is added to, as JSON: the verdict and what it rests on. "-" is standard '
        "output.",
    )
    audit_scores: bool = _setting(
        default=False,
        unit="BOOLEAN",
        read=values.switch,
        help="Whether those lines have the scores, limits and texts of all categories, for replays.",
    )
    audit_chain: bool = _setting(
        default=False,
        unit="BOOLEAN",
        read=values.switch,
        help="Whether each of those lines has a hash over itself and the line before, for `clipwarden audit verify`.",
    )
    audit_queue_bytes: int = _setting(
        16 * 2**20,
        unit="BYTES",
        read=values.size_from(2**20, "since a burst of images would lose lines"),
        help="Most memory of lines that wait to be written; further ones are dropped and counted. No image waits.",
    )
    log_level: str = _setting(
        "info",
        unit="LEVEL",
        read=values.choice("debug", "info", "warning", "error"),
        help="Least severe log lines written: debug, info, warning or error.",
    )

    @property
    def engine(self) -> EngineSettings:
        """What of it is the engine's."""
        return EngineSettings(
            limits=DecodeLimits(max_image_bytes=self.max_image_bytes, max_decode_bytes=self.max_decode_bytes),
            decode_threads=self.decode_threads,
            encoder_runs=self.encoder_runs,
            max_batch=self.max_batch,
            queue_items=self.queue_items,
            queue_bytes=self.queue_bytes,
            cache_bytes=self.cache_bytes,
            stall_seconds=self.stall_seconds,
            niceness=ENCODER_NICENESS if self.scheduling == "batch" else 0,
        )

    def __post_init__(self) -> None:
        """Refuse settings that contradict one another."""
        if self.listen is None and self.unix_socket is None:
            raise ConfigError("listen and unix_socket are both off, so nobody could call the server; set one of them.")
        self._refuse_shared_addresses()
        self._refuse_half_of_tls()
        if self.path_root is not None and self.unix_socket is None and self.path_callers == "unix":
            raise ConfigError(
                "path_root is set, but only who calls by the Unix socket may name a file, and there is no such socket. "
                "Set unix_socket, or path_callers to all."
            )
        if self.max_message_bytes > MOST_MESSAGE_BYTES:
            raise ConfigError(
                f"max_message_bytes ({self.max_message_bytes}) must be below 2 GiB, which no gRPC message can reach."
            )
        if self.max_message_bytes < self.max_image_bytes + MESSAGE_MARGIN:
            raise ConfigError(
                f"max_message_bytes ({self.max_message_bytes}) must be at least 64 KiB above max_image_bytes "
                f"({self.max_image_bytes}), so that callers are told IMAGE_TOO_LARGE and not cut off by gRPC."
            )
        if self.queue_bytes < self.max_message_bytes:
            raise ConfigError(
                f"queue_bytes ({self.queue_bytes}) is below max_message_bytes ({self.max_message_bytes}), which each "
                f"message may take while it is read, so that none ever could be. Write at "
                f"least {_whole_mib(self.max_message_bytes)}, or lower max_message_bytes."
            )
        if self.audit_log is None and (self.audit_scores or self.audit_chain):
            name = "audit_scores" if self.audit_scores else "audit_chain"
            raise ConfigError(f"{name} is on, but audit_log names no file; name one, or turn {name} off.")
        if self.stall_seconds == 0:
            raise ConfigError("stall_seconds must be above 0, or all work would count as stuck.")

    def _refuse_half_of_tls(self) -> None:
        if (self.tls_certificate is None) != (self.tls_key is None):
            given, missing = ("tls_certificate", "tls_key") if self.tls_certificate else ("tls_key", "tls_certificate")
            raise ConfigError(f"{given} is set and {missing} is not; TLS takes both.")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ConfigError(
                "tls_client_ca is set and tls_certificate is not; clients show certificates only over TLS."
            )

    def _refuse_shared_addresses(self) -> None:
        taken: dict[str, str] = {}
        for name in ("listen", "metrics_listen", "probe_listen"):
            where = getattr(self, name)
            if where in taken:
                raise ConfigError(f"{taken[where]} and {name} are both {where}; give one of them another port.")
            if where is not None and not where.endswith(":0"):
                taken[where] = name


def _whole_mib(size: int) -> str:
    return f"{-(-size // 2**20)}MiB"


def _docs() -> Mapping[str, SettingDocs]:
    return {
        item.name: SettingDocs(
            name=item.name,
            default=item.default,
            help=item.metadata["help"],
            unit=item.metadata["unit"],
            read=item.metadata["read"],
            repeated=item.metadata["repeated"],
        )
        for item in fields(Settings)
    }


SETTING_DOCS: Mapping[str, SettingDocs] = _docs()
"""Every setting by name, in the order that help shows them."""


def settings_table() -> str:
    """Render all settings as a Markdown table, for documents that a test holds against this module."""
    rows = [
        f"| `{docs.flag}` | `{docs.variable}` | {docs.default_text} | {docs.help} |" for docs in SETTING_DOCS.values()
    ]
    return "\n".join(["| option | variable | default | what it does |", "|---|---|---|---|", *rows])
