"""The edge where what brokers and connections say becomes mcwatch's own errors.

The numbers are those of Kafka's protocol guide, section "Error Codes".
"""

import ssl

from mcwatch.domain.errors import (
    AuthError,
    FailureReason,
    McwatchError,
    MisconfiguredError,
    PermanentError,
    TransientError,
)
from mcwatch.sinks.kafka.endpoint import Endpoint
from mcwatch.sinks.kafka.wire import IncompatibleBrokerVersion, KafkaError
from mcwatch.tls import TlsRemedies, tls_failure

DUPLICATE_SEQUENCE = 46
LOADING = 14
NOT_KNOWN = 3
TOO_LARGE = frozenset({10, 18})
"""MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE."""
REFUSALS = {10: "MESSAGE_TOO_LARGE", 18: "RECORD_LIST_TOO_LARGE", 32: "INVALID_TIMESTAMP", 87: "INVALID_RECORD"}
"""What a broker says to the records themselves; nothing of the batch was written."""
LOST_PRODUCER = frozenset({45, 47, 49, 59, 90})
"""OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, INVALID_PRODUCER_ID_MAPPING, UNKNOWN_PRODUCER_ID and
PRODUCER_FENCED."""

_SASL_REFUSED = 58
_UNSUPPORTED = 35
_AUTH = {
    29: ("TOPIC_AUTHORIZATION_FAILED", "allow the user Describe and Write on the topic (kafka-acls)"),
    31: ("CLUSTER_AUTHORIZATION_FAILED", "allow the user Write on the topic, before Kafka 2.8 also IdempotentWrite"),
    _SASL_REFUSED: ("SASL_AUTHENTICATION_FAILED", "check sink.security.sasl: mechanism, username and password"),
    65: ("DELEGATION_TOKEN_AUTHORIZATION_FAILED", "check sink.security.sasl"),
}
_MISCONFIGURED = {
    NOT_KNOWN: ("UNKNOWN_TOPIC_OR_PARTITION", "create the topic, or correct sink.topic: mcwatch creates none"),
    17: ("INVALID_TOPIC_EXCEPTION", "correct sink.topic"),
    21: ("INVALID_REQUIRED_ACKS", "the broker must allow acks=all"),
    33: ("UNSUPPORTED_SASL_MECHANISM", "set sink.security.sasl.mechanism to one that the listener has enabled"),
    34: ("ILLEGAL_SASL_STATE", "set sink.security.sasl as the listener wants it"),
    _UNSUPPORTED: ("UNSUPPORTED_VERSION", "Kafka must be 0.11 or newer"),
    43: ("UNSUPPORTED_FOR_MESSAGE_FORMAT", "the topic's message format must be 0.11 or newer"),
    44: ("POLICY_VIOLATION", "see the broker's policy for the topic"),
    76: ("UNSUPPORTED_COMPRESSION_TYPE", "choose another sink.compression"),
}
_TIMEOUTS = {7: "REQUEST_TIMED_OUT"}
_THIN = {
    5: "LEADER_NOT_AVAILABLE",
    6: "NOT_LEADER_OR_FOLLOWER",
    LOADING: "COORDINATOR_LOAD_IN_PROGRESS",
    15: "COORDINATOR_NOT_AVAILABLE",
    19: "NOT_ENOUGH_REPLICAS",
    20: "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    56: "KAFKA_STORAGE_ERROR",
}
_LISTENS = "check sink.brokers, that the brokers run, and any firewall in between"
_SECURITY = (
    "if the broker runs, check sink.security: a listener that wants TLS or a login, or none, hangs up without a word"
)
_TLS_REMEDIES = TlsRemedies(
    trust="check sink.brokers and the broker's advertised.listeners against the names in the certificate; set "
    "sink.security.tls.ca_file to the authority that signed it",
    identity="check sink.security.tls.cert_file and key_file: the broker wants a client certificate that it trusts",
    plain="check the port in sink.brokers, or set sink.security.protocol: plaintext if the listener has no TLS",
)


def answered(code: int, where: str) -> McwatchError:
    """Return what a broker's error code means; ``where`` names the topic or broker it speaks of."""
    if code in _AUTH:
        name, remedy = _AUTH[code]
        return AuthError(f"Kafka refuses us at {where} ({name})", remedy=remedy)
    if code in _MISCONFIGURED:
        name, remedy = _MISCONFIGURED[code]
        return MisconfiguredError(f"Kafka cannot serve {where} ({name})", remedy=remedy)
    if code in REFUSALS:
        reason = FailureReason.TOO_LARGE if code in TOO_LARGE else FailureReason.REFUSED
        return PermanentError(f"Kafka refuses an event for {where} ({REFUSALS[code]})", reason=reason)
    if code in _TIMEOUTS:
        return TransientError(
            f"the replicas of {where} took too long ({_TIMEOUTS[code]})",
            reason=FailureReason.TIMEOUT,
            remedy="look at the brokers' load and at replicas that are behind",
        )
    name = _THIN.get(code, f"error {code}")
    return TransientError(
        f"Kafka cannot write to {where} now ({name})",
        reason=FailureReason.SERVER,
        remedy="look whether brokers are missing, and at the topic's in-sync replicas",
    )


def broken(error: OSError | EOFError | KafkaError, endpoint: Endpoint) -> McwatchError:
    """Return what the failure of a connection means."""
    cause = error.__cause__ if isinstance(error, KafkaError) and error.__cause__ else error
    if isinstance(cause, ssl.SSLError):
        return tls_failure(cause, f"the broker {endpoint}", _TLS_REMEDIES)
    if isinstance(error, IncompatibleBrokerVersion):
        return answered(_UNSUPPORTED, f"the broker {endpoint}")
    code = getattr(error, "errno", None) if isinstance(error, KafkaError) else None
    if code is not None and (code in _AUTH or code in _MISCONFIGURED):
        return answered(code, f"the broker {endpoint}")
    if isinstance(error, TimeoutError):
        return TransientError(
            f"the broker {endpoint} did not answer in time",
            reason=FailureReason.TIMEOUT,
            remedy="check whether the broker hangs, or a firewall drops the packets; if it is only slow, raise "
            "sink.timeout",
        )
    if isinstance(cause, OSError) and cause.strerror:
        return TransientError(
            f"the connection to the broker {endpoint} failed: {cause.strerror}",
            reason=FailureReason.CONNECTION,
            remedy=_LISTENS,
        )
    return TransientError(
        f"the broker {endpoint} closed the connection",
        reason=FailureReason.CONNECTION,
        remedy=f"{_LISTENS}; {_SECURITY}",
    )
