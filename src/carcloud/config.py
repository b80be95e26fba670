"""One table of settings. An unknown key or a value of the wrong type refuses to start.

Values come, later over earlier, from the defaults below, a TOML file, environment variables
(`CARCLOUD_GATEWAY_GBT32960_PORT` for `gateway.gbt32960.port`) and command-line `--set`.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Value = str | int | float | bool


class InvalidSetting(ValueError):
    """A setting that does not exist, or has a value it cannot take."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table: the default also fixes the type."""

    name: str
    default: Value
    help: str
    choices: tuple[str, ...] = ()


SETTINGS: tuple[Setting, ...] = (
    Setting("data", "./carcloud-data", "Folder that holds everything carcloud keeps"),
    Setting("roles", "gateway,ingest,web,jobs", "What `carcloud up` runs on this machine"),
    Setting(
        "restart.timeout_s",
        60,
        "A new process that does not serve by then is given up, an old one that stays is ended",
    ),
    Setting(
        "secret_file",
        "",
        "File of the 32 bytes that seal keys, the same on all machines; empty = the data folder",
    ),
    Setting(
        "log.level", "info", "Least level that is logged", ("debug", "info", "warning", "error")
    ),
    Setting("log.format", "auto", "Log lines for people or machines", ("auto", "text", "json")),
    Setting("web.host", "127.0.0.1", "Address the console and API listen on"),
    Setting("web.port", 8460, "Port of the console and API; 0 picks a free one"),
    Setting("web.url", "", "Address people reach the console at; empty = as the request says"),
    Setting(
        "openid.private", False, "Sign-in providers may be on private networks, and without TLS"
    ),
    Setting(
        "web.trusted_proxies",
        "",
        "Addresses and networks of balancers, with commas between; they tell who asks",
    ),
    Setting(
        "web.proxy_header",
        "x-forwarded-for",
        "Header in which those balancers tell it; the other one is not read",
        ("x-forwarded-for", "forwarded"),
    ),
    Setting("tenants.registration", False, "Anybody may make a tenant of their own"),
    Setting("tenants.registrations_per_address", 3, "in 15 minutes; more are refused"),
    Setting(
        "tenants.registration_limits",
        "vehicles=100",
        "Limits of a tenant made so, as `carcloud quotas` names them, with commas between",
    ),
    Setting("tenants.export_days", 7.0, "Days the archive of an export is kept"),
    Setting("tenants.deletion_days", 7.0, "Days from the wish to delete a tenant to its deletion"),
    Setting(
        "tenants.deletion_approval", False, "Somebody other than who asked must approve a deletion"
    ),
    Setting("web.tiles", "", "Tile URL template or PMTiles URL of the base map; empty = outlines"),
    Setting("web.tiles_credit", "", "Who made the tiles, shown on the map; may hold HTML links"),
    Setting("web.session_hours", 12, "How long a sign-in lasts"),
    Setting("web.max_body_mb", 16, "Largest request body"),
    Setting("web.max_live_clients", 500, "Browsers that follow live events at the same time"),
    Setting("gateway.gbt32960.host", "127.0.0.1", "Address vehicles connect to over GB/T 32960"),
    Setting("gateway.gbt32960.port", 32960, "Its port; 0 picks a free one"),
    Setting("gateway.gbt32960.tls_cert", "", "Certificate file; empty = no TLS"),
    Setting("gateway.gbt32960.tls_key", "", "Private key file of the certificate"),
    Setting(
        "gateway.gbt32960.tls_client_ca", "", "CA file for vehicle certificates; empty = none asked"
    ),
    Setting(
        "gateway.gbt32960.reply_reports",
        False,
        "Answer every good realtime and reissued report on vehicle links",
    ),
    Setting(
        "gateway.gbt32960.reply_body",
        "time",
        "Body of a reply: reading A (time) or B (echo)",
        ("time", "echo"),
    ),
    Setting(
        "gateway.gbt32960.signature_covers_mark",
        False,
        "The 2025 signature also covers the 0xFF mark (reading b)",
    ),
    Setting(
        "gateway.gbt32960.verify_signatures",
        "if-present",
        "Check 2025 signatures",
        ("off", "if-present", "required"),
    ),
    Setting("gateway.gbt32960.private_key_rsa", "", "PEM file: opens what vehicles encrypt by RSA"),
    Setting("gateway.gbt32960.private_key_sm2", "", "PEM or hex file: the same for SM2"),
    Setting(
        "gateway.gbt32960.reissue_days_2016",
        3,
        "Oldest reissued report accepted, 2016 vehicles; platform links 7",
    ),
    Setting(
        "gateway.gbt32960.reissue_days_2025", 7, "Oldest reissued report accepted, 2025 vehicles"
    ),
    Setting(
        "gateway.gbt32960.upgrade_order",
        "b15",
        "Order of the fields of the remote-upgrade command",
        ("b15", "b16"),
    ),
    Setting("gateway.jt808.host", "127.0.0.1", "Address terminals connect to over JT/T 808"),
    Setting("gateway.jt808.port", 32961, "Its port; 0 picks a free one, -1 = no JT/T 808"),
    Setting("gateway.jt808.tls_cert", "", "Certificate file; empty = no TLS"),
    Setting("gateway.jt808.tls_key", "", "Private key file of the certificate"),
    Setting("gateway.jt808.tls_client_ca", "", "CA file for terminals' certificates; empty = none"),
    Setting("gateway.jt808.message_mb", 8, "Largest message of several packets"),
    Setting("gateway.jt808.packets_mb", 256, "Incomplete messages of all terminals together"),
    Setting(
        "gateway.jt808.packet_wait_s",
        5.0,
        "Silence after which missing packets are asked for, three times; then they are given up",
    ),
    Setting("gateway.mqtt.host", "127.0.0.1", "Address vehicles connect to over MQTT 3.1.1 and 5"),
    Setting("gateway.mqtt.port", 1883, "Its port; 0 picks a free one, -1 = no MQTT"),
    Setting("gateway.mqtt.tls_cert", "", "Certificate file; empty = no TLS"),
    Setting("gateway.mqtt.tls_key", "", "Private key file of the certificate"),
    Setting(
        "gateway.mqtt.tls_client_ca", "", "CA file for vehicle certificates; empty = none asked"
    ),
    Setting(
        "gateway.mqtt.tls_client_required", False, "Refuse clients without a vehicle certificate"
    ),
    Setting("gateway.mqtt.max_packet_kb", 256, "Largest packet"),
    Setting(
        "gateway.mqtt.receive_maximum",
        1_000,
        "Unanswered QoS 1 and 2 messages of a vehicle, MQTT 5",
    ),
    Setting("gateway.mqtt.topic_aliases", 16, "Topic aliases a vehicle may use"),
    Setting("gateway.mqtt.keep_alive_s", 300, "Longest keep alive of MQTT 5 clients"),
    Setting("gateway.mqtt.session_hours", 168.0, "Longest life of a session without connection"),
    Setting("gateway.mqtt.max_sessions", 100_000, "Sessions that wait for their vehicle"),
    Setting("gateway.mqtt.subscriptions", 20, "Subscriptions of a vehicle"),
    Setting("gateway.mqtt.window", 20, "Messages on their way to a vehicle, not acknowledged"),
    Setting("gateway.auto_register", False, "Admit unknown vehicles and register them"),
    Setting("gateway.tenant", "default", "Tenant of auto-registered vehicles"),
    Setting("gateway.processes", 1, "Gateway processes that share the port, one core each"),
    Setting("gateway.max_connections", 50_000, "Open vehicle connections"),
    Setting("gateway.max_connections_per_address", 10_000, "Open connections from one address"),
    Setting(
        "gateway.logins_per_second", 2_000, "Logins taken each second; the rest wait in the socket"
    ),
    Setting(
        "gateway.frames_per_second_per_vehicle",
        50,
        "Frames a vehicle may send each second, averaged over ten",
    ),
    Setting("gateway.login_timeout_s", 30, "A connection that has not logged in by then is closed"),
    Setting("gateway.idle_timeout_s", 300, "A session that has sent nothing for so long is closed"),
    Setting(
        "gateway.carried_timeout_s",
        90,
        "A vehicle that a platform brings is offline when it has not reported for so long",
    ),
    Setting("gateway.half_frame_s", 10, "A frame whose rest has not come by then is given up"),
    Setting("gateway.faults_per_minute", 100, "Damaged frames after which a connection is closed"),
    Setting("gateway.reply_backlog_kb", 256, "Unread replies above which a peer is not read"),
    Setting("gateway.reply_wait_s", 10, "A peer that leaves them unread for so long is closed"),
    Setting("gateway.future_tolerance_s", 300, "How far a collection time may lie in the future"),
    Setting("gateway.block_bytes", 400_000, "A block is published when it has so many bytes"),
    Setting("gateway.block_ms", 10, "or when its first frame has waited so long"),
    Setting("gateway.pending_mb", 64, "Frames not yet durable; above this, sockets are not read"),
    Setting("ingest.commit_ms", 800, "Time from one lake commit to the next"),
    Setting("ingest.commit_rows", 50_000, "or so many rows"),
    Setting(
        "ingest.dedup_entries",
        4_000_000,
        "Recent reports remembered in memory to recognise repeats",
    ),
    Setting(
        "commands.parked_s",
        60,
        "How old what is known of a vehicle's speed may be for a command that needs it parked",
    ),
    Setting("commands.keep_days", 180.0, "Days commands are kept after they have ended"),
    Setting("lake.url", "", "s3://bucket/prefix of the tables; empty = the data folder"),
    Setting("lake.cache_gb", 20, "Disk for copies of the files of a lake in S3"),
    Setting("lake.signals_days", 0, "Days decoded rows are kept; 0 = for ever"),
    Setting("lake.frames_days", 30, "Days raw frames are kept; 0 = for ever"),
    Setting("lake.upkeep_s", 60, "Time between rounds of compaction and retention"),
    Setting("stream.port", 0, "Port of the embedded NATS server; 0 picks a free one"),
    Setting("stream.max_gb", 20, "Disk for frames that the lake does not have yet"),
    Setting(
        "stream.url", "", "Servers of a NATS cluster, with commas between; empty = an embedded one"
    ),
    Setting("stream.replicas", 1, "Servers of the cluster that keep each message: 1, 3 or 5"),
    Setting("stream.user", "", "User of the cluster"),
    Setting("stream.password_file", "", "File that holds the user's password"),
    Setting("records.url", "", "SQLAlchemy URL; empty = SQLite in the data folder"),
    Setting("records.password_file", "", "File that holds the password of the database's user"),
    Setting("blobs.url", "", "s3://bucket/prefix; empty = the data folder"),
    Setting("s3.endpoint", "", "URL of the S3 server of lake.url and blobs.url; empty = AWS"),
    Setting("s3.region", "us-east-1", "Its region"),
    Setting("s3.access_key", "", "Access key; empty = from the environment or the instance"),
    Setting("s3.secret_key_file", "", "File that holds the secret key"),
    Setting("s3.path_style", True, "Bucket in the path of the URL and not in the host name"),
    Setting("storage.host", "127.0.0.1", "Address the S3 interface of buckets listens on"),
    Setting("storage.port", 8461, "Its port; 0 picks a free one"),
    Setting("storage.url", "", "How clients reach it, as the console tells; empty = its port"),
    Setting("storage.domain", "", "Domain of names like BUCKET.DOMAIN; empty = none"),
    Setting("storage.upload_days", 7, "Days an unfinished multipart upload is kept"),
    Setting("storage.care_s", 60, "Time between rounds of lifecycle and cleaning of buckets"),
    Setting("query.seconds", 30, "Longest SQL query of a person"),
    Setting("query.memory_mb", 1024, "Memory of a person's SQL query"),
    Setting("query.rows", 10_000, "Rows a SQL query returns to the browser"),
    Setting("query.concurrent", 4, "SQL queries at the same time"),
    Setting("query.waiting", 16, "SQL queries of a tenant that wait; more are refused"),
    Setting("metering.close_days", 3, "Days after a month's end when its statement is closed"),
    Setting(
        "compute.engine",
        "local",
        "Where jobs run: processes of this machine, or a Ray cluster",
        ("local", "ray"),
    ),
    Setting("compute.ray_address", "auto", "Address of the Ray cluster, host:port"),
    Setting("compute.places", 0, "Jobs that run at the same time here; 0 = one a core, at least 2"),
    Setting("compute.warm", 1, "Idle job processes that are kept ready; about 150 MB each"),
    Setting("compute.cpus", 0, "Processors that jobs share; 0 = all"),
    Setting("compute.memory_mb", 0, "Memory that jobs share; 0 = three quarters of the machine"),
    Setting("compute.queues", "", "Queues whose jobs run here, with commas between; empty = all"),
    Setting("compute.log_mb", 16, "Largest log of one attempt at a job"),
    Setting("compute.artifact_mb", 512, "Largest artifact of a job"),
    Setting("compute.table_mb", 256, "Most Arrow data that a job may write into tables at once"),
    Setting("compute.script_disk_mb", 1024, "Most that a script may write, in memory"),
    Setting("compute.script_processes", 64, "Most processes and threads of a script"),
    Setting(
        "compute.requirements", False, "Scripts may ask for wheels, which pip installs for them"
    ),
    Setting("compute.index", "", "Index of those wheels; empty = as pip is configured"),
    Setting("compute.keep_days", 30, "Days that ended jobs are kept; 0 = for ever"),
    Setting("disk.reserve_mb", 512, "Free disk below which nothing more is accepted"),
    Setting("tracing.endpoint", "", "OTLP/HTTP endpoint for traces; empty = no tracing"),
    Setting("tracing.sample", 0.01, "Share of blocks that are traced"),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}


class Settings(Mapping[str, Value]):
    """All settings by name; typed access through `text`, `number` and `flag`."""

    def __init__(self, given: Mapping[str, Value] | None = None) -> None:
        self._values = {setting.name: setting.default for setting in SETTINGS}
        for name, value in (given or {}).items():
            self._values[name] = _checked(name, value)

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def text(self, name: str) -> str:
        """A setting whose default is text."""
        value = self._values[name]
        assert isinstance(value, str)  # noqa: S101 - _checked made it so
        return value

    def whole(self, name: str) -> int:
        """A setting whose default is a whole number."""
        value = self._values[name]
        assert isinstance(value, int)  # noqa: S101
        return value

    def number(self, name: str) -> float:
        """A setting whose default is a number."""
        return float(self._values[name])

    def flag(self, name: str) -> bool:
        """A setting that is on or off."""
        return self._values[name] is True

    def secret(self, name: str) -> str:
        """What is in the file that a setting names, empty where it names none.

        Raises `InvalidSetting` for a file that cannot be read.
        """
        file = self.text(name)
        if not file:
            return ""
        try:
            return Path(file).read_text().strip()
        except OSError as error:
            raise InvalidSetting(f"{name} {file}: {error.strerror}") from error

    def with_values(self, more: Mapping[str, Value]) -> "Settings":
        """A copy with some values replaced."""
        return Settings({**self._values, **more})


def load(file: Path | None = None, given: Mapping[str, Value] | None = None) -> Settings:
    """Settings from the defaults, `file`, the environment and `given`, in that order."""
    values: dict[str, Value] = {}
    if file is not None:
        try:
            values.update(_flat(tomllib.loads(file.read_text())))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise InvalidSetting(f"{file}: {error}") from error
    for setting in SETTINGS:
        text = os.environ.get(variable(setting.name))
        if text is not None:
            values[setting.name] = _from_text(setting, text)
    for name, value in (given or {}).items():
        values[name] = _from_text(_known(name), value) if isinstance(value, str) else value
    return Settings(values)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return "CARCLOUD_" + name.upper().replace(".", "_")


def _known(name: str) -> Setting:
    if name not in _BY_NAME:
        near = [known for known in _BY_NAME if name.rsplit(".", 1)[-1] in known]
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise InvalidSetting(f"there is no setting {name!r}{hint}")
    return _BY_NAME[name]


def _checked(name: str, value: Value) -> Value:
    setting = _known(name)
    wanted = type(setting.default)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        raise InvalidSetting(f"{name} must be {wanted.__name__}, not {value!r}")
    if setting.choices and value not in setting.choices:
        raise InvalidSetting(f"{name} must be one of {', '.join(setting.choices)}, not {value!r}")
    return value


def _from_text(setting: Setting, text: str) -> Value:
    wanted = type(setting.default)
    if wanted is bool:
        if text.lower() not in ("true", "false", "1", "0", "on", "off", "yes", "no"):
            raise InvalidSetting(f"{setting.name} must be true or false, not {text!r}")
        return text.lower() in ("true", "1", "on", "yes")
    try:
        return _checked(setting.name, wanted(text))
    except ValueError as error:
        raise InvalidSetting(f"{setting.name} must be {wanted.__name__}, not {text!r}") from error


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    flat: dict[str, Value] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
