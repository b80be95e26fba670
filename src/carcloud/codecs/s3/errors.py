"""Errors of the protocol: code, HTTP status, words."""

from collections.abc import Mapping

ERRORS: Mapping[str, tuple[int, str]] = {
    "AccessDenied": (403, "Access denied"),
    "AccessControlListNotSupported": (400, "Buckets have no access control lists; use roles"),
    "AuthorizationHeaderMalformed": (400, "The authorization header is malformed"),
    "AuthorizationQueryParametersError": (400, "The query parameters of the signature are wrong"),
    "BadDigest": (400, "The checksum you sent does not match the body"),
    "BadRequest": (400, "The request is not valid"),
    "BucketAlreadyExists": (409, "The bucket name is taken; names are unique everywhere"),
    "BucketAlreadyOwnedByYou": (409, "You have this bucket already"),
    "BucketNotEmpty": (409, "The bucket is not empty"),
    "ConditionalRequestConflict": (409, "The object is being changed by another request"),
    "EntityTooLarge": (400, "The object is larger than allowed"),
    "EntityTooSmall": (400, "A part other than the last is smaller than 5 MiB"),
    "IncompleteBody": (400, "The body ended before the length that the headers announced"),
    "InsufficientStorage": (507, "There is no room for this object"),
    "InternalError": (500, "The server could not deal with this request"),
    "InvalidAccessKeyId": (403, "The access key is not known, has ended or was revoked"),
    "InvalidArgument": (400, "An argument is not valid"),
    "InvalidBucketName": (400, "The bucket name is not valid"),
    "InvalidBucketState": (409, "The bucket's state does not allow this"),
    "InvalidDigest": (400, "The Content-MD5 or checksum is not well formed"),
    "InvalidPart": (400, "A part is missing or has another ETag"),
    "InvalidPartOrder": (400, "The parts are not in rising order"),
    "InvalidRange": (416, "The range cannot be satisfied"),
    "InvalidRequest": (400, "The request is not valid"),
    "InvalidTag": (400, "The tags are not valid"),
    "InvalidURI": (400, "The path is not valid"),
    "KeyTooLongError": (400, "A key may have 1024 bytes"),
    "MalformedXML": (400, "The XML is not well formed or not what this operation takes"),
    "MaxMessageLengthExceeded": (400, "The request is too big"),
    "MetadataTooLarge": (400, "The metadata is larger than 2 KB"),
    "MethodNotAllowed": (405, "The method is not allowed on this resource"),
    "MissingContentLength": (411, "The Content-Length header is needed"),
    "NoSuchBucket": (404, "The bucket does not exist"),
    "NoSuchBucketPolicy": (404, "The bucket has no policy"),
    "NoSuchCORSConfiguration": (404, "The bucket has no CORS configuration"),
    "NoSuchKey": (404, "The key does not exist"),
    "NoSuchLifecycleConfiguration": (404, "The bucket has no lifecycle configuration"),
    "NoSuchTagSet": (404, "The bucket has no tags"),
    "NoSuchUpload": (404, "The upload does not exist; it was completed, aborted or has expired"),
    "NoSuchVersion": (404, "The version does not exist"),
    "NotImplemented": (501, "This is not implemented"),
    "NotModified": (304, "Not modified"),
    "ObjectLockConfigurationNotFoundError": (404, "The bucket has no object lock"),
    "PreconditionFailed": (412, "A condition of the request does not hold"),
    "QuotaExceeded": (403, "A limit of the tenant is reached"),
    "RequestTimeTooSkewed": (403, "The request's time differs too much from the server's"),
    "RequestTimeout": (400, "The body did not come in time"),
    "ServerSideEncryptionConfigurationNotFoundError": (404, "No encryption configuration"),
    "SignatureDoesNotMatch": (403, "The signature does not match; check key and method"),
    "SlowDown": (503, "Too many requests; slow down"),
    "ServiceUnavailable": (503, "An engine does not answer; try again"),
    "XAmzContentSHA256Mismatch": (400, "The body does not have the SHA-256 that was signed"),
}


class S3Error(Exception):
    """The request is refused with a code of `ERRORS`; `facts` go into the answer's document."""

    def __init__(self, code: str, message: str = "", **facts: str) -> None:
        status, words = ERRORS[code]
        super().__init__(message or words)
        self.code = code
        self.status = status
        self.message = message or words
        self.facts = facts
