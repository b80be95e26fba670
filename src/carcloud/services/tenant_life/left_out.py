"""What an export leaves out of the records: secrets, and what is of no use elsewhere."""

from collections.abc import Mapping

TABLES: Mapping[str, str] = {
    "recovery_codes": "secrets",
    "second_factor_drafts": "secrets",
    "sessions": "secrets",
    "storage_keys": "keys that seal objects; the export has the objects unsealed",
    "storage_extents": "where bytes lie; the export has the bytes",
    "storage_garbage": "bytes that nothing names any more",
    "storage_objects": "in buckets/<bucket>/objects.jsonl",
    "storage_parts": "unfinished uploads",
    "storage_uploads": "unfinished uploads",
    "tenant_exports": "exports themselves",
    "usage_positions": "marks of counting",
    "usage_processes": "marks of counting",
    "usage_seen": "marks of counting",
}
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "api_keys": ("hash", "s3_secret"),
    "commands": ("sealed",),
    "invitations": ("hash",),
    "login_providers": ("secret",),
    "lower_platforms": ("password",),
    "platform_links": ("password",),
    "storage_places": ("options",),
    "users": ("password", "totp", "totp_step"),
    "vehicle_credentials": ("cipher_key", "token_sha256"),
    "vehicle_data_keys": ("sealed",),
}
NO_SECRETS: Mapping[str, tuple[str, ...]] = {  # columns whose name or type may mislead
    "audit": ("hash",),
    "audit_heads": ("hash",),
    "commands": ("key",),
    "platform_link_retries": ("frame",),
    "storage_places": ("sealed",),
    "vehicle_credentials": ("public_key", "token_made"),
    "vehicle_labels": ("key",),
    "vehicle_messages": ("payload",),
}
