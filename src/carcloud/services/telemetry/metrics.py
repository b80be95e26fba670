"""One table of metrics: what `/metrics` shows, of which role, and which setting it watches.

Processes report figures without the prefix `carcloud_`; labels are part of a figure's key.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One family. `roles` empty = every process; `settings` = the limits whose effect it shows."""

    name: str
    kind: Kind
    roles: tuple[str, ...]
    help: str
    labels: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


_GATEWAY, _INGEST, _WEB, _JOBS = ("gateway",), ("ingest",), ("web",), ("jobs",)

METRICS: tuple[Metric, ...] = (
    Metric("up", "gauge", (), "1 while the process is heard, 0 after five silent seconds"),
    Metric("uptime_seconds", "gauge", (), "Age of the process"),
    Metric("memory_bytes", "gauge", (), "Its own memory and its share of what it shares"),
    Metric("frames_total", "counter", ("gateway", "ingest"), "Frames taken in / decoded"),
    # gateway
    Metric("acked_total", "counter", _GATEWAY, "Frames that are durable in the stream"),
    Metric(
        "ack_seconds", "histogram", _GATEWAY, "From receipt of a frame until it is durable",
        settings=("gateway.block_ms",),
    ),
    Metric("dead_total", "counter", _GATEWAY, "Frames and stray bytes refused at the door"),
    Metric(
        "frames_refused_total", "counter", _GATEWAY, "The same by what was wrong with them",
        ("reason",),
        ("gateway.future_tolerance_s", "gateway.gbt32960.reissue_days_2016",
         "gateway.gbt32960.reissue_days_2025", "gateway.half_frame_s",
         "gateway.mqtt.max_packet_kb", "gateway.mqtt.receive_maximum",
         "gateway.mqtt.topic_aliases"),
    ),
    Metric("heartbeats_total", "counter", _GATEWAY, "Heartbeats and time requests"),
    Metric("logins_total", "counter", _GATEWAY, "Logins admitted"),
    Metric("logins_refused_total", "counter", _GATEWAY, "Logins refused"),
    Metric("commands_sent_total", "counter", _GATEWAY, "Commands given to vehicles' connections"),
    Metric("command_reports_total", "counter", _GATEWAY, "Steps of commands that vehicles told"),
    Metric(
        "command_reports_dropped_total",
        "counter",
        _GATEWAY,
        "Steps that were not kept: too many waited for the records",
    ),
    Metric(
        "session_events_dropped_total",
        "counter",
        _GATEWAY,
        "Events of who came and went that were not kept: too many waited for the stream, "
        "or it refused them",
    ),
    Metric(
        "logins_delayed_total", "counter", _GATEWAY, "Logins that had to wait for their turn",
        settings=("gateway.logins_per_second",),
    ),
    Metric("logins_waiting", "gauge", _GATEWAY, "Logins not answered yet"),
    Metric("connections", "gauge", _GATEWAY, "Open connections, logged in or not"),
    Metric("vehicles_online", "gauge", _GATEWAY,
           "Vehicles that are logged in, or report over a platform's link", ("tenant",),
           ("gateway.carried_timeout_s",)),
    Metric("platforms_online", "gauge", _GATEWAY, "Platforms that are logged in", ("tenant",)),
    Metric(
        "connections_refused_total", "counter", _GATEWAY, "Connections above a limit", ("limit",),
        ("gateway.max_connections", "gateway.max_connections_per_address"),
    ),
    Metric(
        "connections_closed_total", "counter", _GATEWAY, "Connections that the gateway ended",
        ("reason",),
        ("gateway.login_timeout_s", "gateway.idle_timeout_s", "gateway.faults_per_minute",
         "gateway.reply_backlog_kb", "gateway.reply_wait_s", "gateway.mqtt.keep_alive_s"),
    ),
    Metric(
        "vehicles_held_total", "counter", _GATEWAY,
        "Times that a vehicle was not read for a while because it sent too fast",
        settings=("gateway.frames_per_second_per_vehicle",),
    ),
    Metric("protocol_frames_total", "counter", _GATEWAY, "Frames taken in by protocol",
           ("protocol",)),
    Metric("protocol_connections", "gauge", _GATEWAY, "Open connections by protocol",
           ("protocol",)),
    Metric("jt808_packets_total", "counter", _GATEWAY,
           "Packets of JT/T 808 messages that were not complete yet"),
    Metric("jt808_asked_again_total", "counter", _GATEWAY, "Requests for missing packets",
           settings=("gateway.jt808.packet_wait_s",)),
    Metric("jt808_media_total", "counter", _GATEWAY, "Pictures, sound and video kept as objects",
           settings=("gateway.jt808.message_mb",)),
    Metric("jt808_incomplete_bytes", "gauge", _GATEWAY, "Packets that wait for the others",
           settings=("gateway.jt808.packets_mb",)),
    Metric("mqtt_delivered_total", "counter", _GATEWAY,
           "Messages to vehicles that were acknowledged, over MQTT", (), ("gateway.mqtt.window",)),
    Metric("mqtt_undelivered_total", "counter", _GATEWAY,
           "Messages that vehicles could not be given, or did not take", ("reason",)),
    Metric("mqtt_forbidden_total", "counter", _GATEWAY,
           "Attempts of vehicles on topics that are not theirs"),
    Metric("mqtt_subscriptions_refused_total", "counter", _GATEWAY,
           "Subscriptions of vehicles above the limit", (), ("gateway.mqtt.subscriptions",)),
    Metric("mqtt_wills_total", "counter", _GATEWAY, "Last wills of vehicles published"),
    Metric("mqtt_sessions_waiting", "gauge", _GATEWAY,
           "MQTT sessions that wait for their vehicle", (),
           ("gateway.mqtt.max_sessions", "gateway.mqtt.session_hours")),
    Metric("mqtt_sessions_dropped_total", "counter", _GATEWAY,
           "MQTT sessions given up before their time", (), ("gateway.mqtt.max_sessions",)),
    Metric(
        "quota_refusals_total", "counter", ("gateway", "web"),
        "Times that a tenant's quota was in the way", ("limit",),
    ),
    Metric(
        "quota_held_sessions", "gauge", _GATEWAY,
        "Connections that wait because their tenant sends too many frames", ("tenant",),
    ),
    Metric("blocks_total", "counter", _GATEWAY, "Blocks of frames published"),
    Metric(
        "blocks_full_total", "counter", _GATEWAY, "Blocks published because of their size",
        settings=("gateway.block_bytes",),
    ),
    Metric("pending_bytes", "gauge", _GATEWAY, "Frames and replies that are not durable yet"),
    Metric("reading_paused", "gauge", _GATEWAY, "1 while no socket is read"),
    Metric(
        "pauses_total", "counter", _GATEWAY, "Times that reading of all sockets stopped",
        settings=("gateway.pending_mb",),
    ),
    Metric(
        "stream_retries_total", "counter", _GATEWAY, "Blocks refused by disk or stream",
        ("reason",), ("disk.reserve_mb", "stream.max_gb"),
    ),
    Metric(
        "disk_reserve_bytes", "gauge", ("gateway", "jobs"), "Free disk that is kept",
        settings=("disk.reserve_mb",),
    ),
    # ingest
    Metric("stored_total", "counter", _INGEST, "Rows stored in signals"),
    Metric("duplicates_total", "counter", _INGEST, "Reports recognised as repeats"),
    Metric("corrections_total", "counter", _INGEST, "Reports with other content than before"),
    Metric("dead_letters_total", "counter", _INGEST, "Frames kept as dead letters"),
    Metric("commits_total", "counter", _INGEST, "Micro-batches committed"),
    Metric("commits_full_total", "counter", _INGEST, "Commits that did not wait for the clock",
           settings=("ingest.commit_rows",)),
    Metric("commit_retries_total", "counter", _INGEST, "Commits that failed and were tried again"),
    Metric(
        "commit_seconds", "histogram", _INGEST, "Decode and commit of a micro-batch",
        settings=("ingest.commit_ms",),
    ),
    Metric("commit_frames", "histogram", _INGEST, "Frames in a micro-batch"),
    Metric("dedup_lookups_total", "counter", _INGEST, "Repeats looked up in the lake"),
    Metric(
        "dedup_entries", "gauge", _INGEST, "Reports remembered in memory",
        settings=("ingest.dedup_entries",),
    ),
    Metric("freshness_ms", "gauge", _INGEST, "From arrival to queryable, oldest of the last rows"),
    Metric("lag_frames", "gauge", _INGEST, "Frames in the stream that the lake does not have yet"),
    Metric("stream_bytes", "gauge", _INGEST, "Disk that the stream of frames takes",
           settings=("stream.max_gb",)),
    # web
    Metric("s3_requests_total", "counter", _WEB, "Requests to buckets answered",
           ("operation", "status")),
    Metric("s3_seconds", "histogram", _WEB, "Until the answer to a request to buckets begins",
           ("operation",)),
    Metric("s3_bytes_in_total", "counter", _WEB, "Bytes received for buckets"),
    Metric("s3_bytes_out_total", "counter", _WEB, "Bytes sent from buckets"),
    Metric("http_requests_total", "counter", _WEB, "Requests answered", ("route", "status"),
           ("web.max_body_mb",)),
    Metric("http_seconds", "histogram", _WEB, "From request to first byte of the answer",
           ("route",)),
    Metric("live_clients", "gauge", _WEB, "Browsers that follow live events"),
    Metric("live_refused_total", "counter", _WEB, "Live connections refused",
           settings=("web.max_live_clients",)),
    Metric("queries_total", "counter", _WEB, "SQL queries answered"),
    Metric("queries_cancelled_total", "counter", _WEB, "SQL queries cancelled by who asked them"),
    Metric("queries_running", "gauge", _WEB, "SQL queries that run or wait"),
    Metric(
        "queries_refused_total", "counter", _WEB, "SQL queries above a limit", ("limit",),
        ("query.seconds", "query.memory_mb", "query.waiting", "query.concurrent"),
    ),
    Metric("queries_cut_total", "counter", _WEB, "Answers that had more rows than allowed",
           settings=("query.rows",)),
    Metric("disk_used_bytes", "gauge", _WEB, "Size of the data folder"),
    Metric("disk_free_bytes", "gauge", _WEB, "Free beside it"),
    Metric("stream_up", "gauge", _WEB, "1 while the stream answers the web process"),
    Metric("problems", "gauge", _WEB, "Present problems", ("code",)),
    # jobs
    Metric("storage_expired_total", "counter", _JOBS, "Objects that a lifecycle let go",
           settings=("storage.care_s",)),
    Metric("storage_uploads_ended_total", "counter", _JOBS, "Unfinished uploads given up",
           settings=("storage.upload_days",)),
    Metric("storage_blobs_removed_total", "counter", _JOBS, "Blobs that nothing named any more"),
    Metric("campaign_rounds_total", "counter", _JOBS, "Looks at what vehicles should hold"),
    Metric("campaign_documents_total", "counter", _JOBS, "Documents that were put for vehicles"),
    Metric("campaigns_expired_total", "counter", _JOBS, "Campaigns whose time was over"),
    Metric("commands_timed_out_total", "counter", _JOBS, "Commands whose time was over"),
    Metric("upkeep_rounds_total", "counter", _JOBS, "Rounds of compaction and retention"),
    Metric("upkeep_failures_total", "counter", _JOBS, "Tables that a round could not care for"),
    Metric("usage_counted_total", "counter", _JOBS, "Usages that services told, counted once each"),
    Metric(
        "usage_messages_total", "counter", _JOBS, "Messages of vehicles counted from the lake"
    ),
    Metric("usage_refused_total", "counter", _JOBS, "Messages of usage that cannot be read"),
    Metric("forwarding_links", "gauge", _JOBS, "Links to further platforms that run"),
    Metric("jobs_begun_total", "counter", _JOBS, "Attempts at jobs begun"),
    Metric("jobs_ended_total", "counter", _JOBS, "Attempts at jobs that have ended", ("outcome",)),
    Metric("jobs_running", "gauge", _JOBS, "Jobs that run here",
           settings=("compute.places", "compute.cpus", "compute.memory_mb")),
    Metric("jobs_waiting", "gauge", _JOBS, "Jobs that could begin, up to 20 of each tenant"),
)  # fmt: skip

BY_NAME = {metric.name: metric for metric in METRICS}
_PARTS = ("_bucket", "_sum", "_count")


def family(figure: str) -> str:
    """The family of a figure's key: without labels, and without a histogram's part."""
    name = figure.partition("{")[0]
    for part in _PARTS:
        base = name.removesuffix(part)
        if base != name and base in BY_NAME and BY_NAME[base].kind == "histogram":
            return base
    return name
