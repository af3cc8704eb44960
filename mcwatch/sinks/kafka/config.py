"""The options of the kafka sink."""

from typing import Literal, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator

from mcwatch.domain.errors import ConfigError
from mcwatch.interfaces import Sink
from mcwatch.option_types import Config, Duration, Secret, Size, TlsConfig
from mcwatch.sinks.base import BaseSinkConfig
from mcwatch.sinks.kafka.endpoint import Endpoint
from mcwatch.sinks.receiver import revealed

_MISSING = 'sink.type: kafka needs the package aiokafka, which is not installed; run: pip install "mcwatch[kafka]"'


class SaslConfig(Config):
    """A login with SASL."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512",
        description="How the password is proved. Default SCRAM-SHA-512, which never sends it; PLAIN does.",
    )
    username: str = Field(min_length=1, description="User of the login.")
    password: Secret = Field(description="Password of username; read again at each connection.")


class SecurityConfig(Config):
    """How the listener of the brokers is protected."""

    protocol: Literal["plaintext", "tls"] = Field(
        "tls", description="tls or plaintext. Default tls: events quote mail."
    )
    tls: TlsConfig = Field(default_factory=TlsConfig, description="TLS towards the brokers.")
    sasl: SaslConfig | None = Field(None, description="Login of the listener (SASL). Default none.")

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if self.protocol == "plaintext" and self.tls != TlsConfig():
            raise ValueError(
                "tls has settings but protocol is plaintext: nothing would be encrypted; set protocol: tls"
            )
        return self


class KafkaSinkConfig(BaseSinkConfig):
    """A topic of Apache Kafka, or of what speaks its protocol."""

    type: Literal["kafka"] = Field(
        description='A Kafka topic: one record per event, its key the account. Needs pip install "mcwatch[kafka]".'
    )
    brokers: list[str] = Field(
        min_length=1,
        description="host:port of one or more brokers, an IPv6 address as [::1]:9093. The first that answers names "
        "the others.",
    )
    topic: str = Field(
        pattern=r"^[A-Za-z0-9._-]{1,249}$", description="The topic. It must exist: mcwatch creates none."
    )
    security: SecurityConfig = Field(
        default_factory=SecurityConfig, description="TLS and login. Default TLS without a login."
    )
    compression: Literal["none", "gzip"] = Field(
        "none",
        description="Packing of record batches: none or gzip. Default none; gzip shrinks JSON to about a tenth, for "
        "ten times the CPU that a record takes otherwise.",
    )
    max_batch: Size = Field(
        1_000_000,
        ge=1024,
        le=2**30,
        description="Bytes of a record batch before packing; a larger event goes alone. Default 1000000, a little less "
        "than what brokers take (message.max.bytes).",
    )
    timeout: Duration = Field(
        30.0, gt=0, description="Time for a batch until all in-sync replicas have it. Default 30s."
    )

    @field_validator("topic")
    @classmethod
    def _check_topic(cls, topic: str) -> str:
        if topic in {".", ".."}:
            raise ValueError(f"{topic!r} is no name of a topic")
        return topic

    @field_validator("brokers")
    @classmethod
    def _check_brokers(cls, brokers: list[str]) -> list[str]:
        for broker in brokers:
            Endpoint.parse(broker)
        return brokers

    def build(self, channel: UUID | None = None) -> Sink:
        """Return the sink; raises ConfigError where aiokafka is not installed."""
        try:
            # Only here: a daemon without such a sink neither needs it nor spends time on it.
            from mcwatch.sinks.kafka.cluster import Access  # noqa: PLC0415 - as said above
            from mcwatch.sinks.kafka.sink import KafkaSink  # noqa: PLC0415 - as said above
            from mcwatch.sinks.kafka.wire import Login  # noqa: PLC0415 - as said above
        except ModuleNotFoundError as error:
            if error.name != "aiokafka":
                raise
            raise ConfigError([_MISSING]) from error
        security, sasl = self.security, self.security.sasl
        access = Access(
            brokers=[Endpoint.parse(broker) for broker in self.brokers],
            topic=self.topic,
            tls=security.tls.build() if security.protocol == "tls" else None,
            login=(lambda: Login(sasl.mechanism, sasl.username, revealed(sasl.password.reveal, "sasl.password")))
            if sasl
            else None,
            timeout_secs=self.timeout,
        )
        return KafkaSink(access, self.compression, self.max_batch)
