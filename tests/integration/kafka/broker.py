"""One Kafka node, broker and controller in one, in a process of its own.

Its jars (about 43 MB) come from Maven's central repository through `mvn`, once, into ``build/kafka``. It has three
listeners: a plain one, whose nameless user may do all, one with TLS and logins, where alice may do all and bob nothing,
and one with logins in the clear.
"""

import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import trustme
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition  # type: ignore[import-untyped]  # it has no types
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # as above
from cryptography.hazmat.primitives import serialization

from mcwatch.interfaces import Sink
from mcwatch.sinks.kafka import KafkaSinkConfig
from tests.acceptance.waiting import eventually
from tests.fakes.http_server import free_port
from tests.integration.jars import require_jars

PASSWORDS: Final = {"alice": "s3cret-alice", "bob": "s3cret-bob"}
_HERE: Final = Path(__file__).parent
_START_SECS: Final = 60.0
_MECHANISMS: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_LOGIN_MODULES: Final = "org.apache.kafka.common.security"
# A node that lives for some seconds: little memory, and no time spent on optimising.
_JAVA: Final = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


class KafkaBroker:
    """A node that can be killed and started again; its directory is thrown away with the test."""

    def __init__(self, directory: Path) -> None:
        self._jars = require_jars(_HERE / "pom.xml", "kafka")
        self._directory = directory
        self._data = directory / "data"
        self._plain, self._secure, self._open, self._controller = (free_port() for _ in range(4))
        self._log = directory / "kafka.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.ca_file = directory / "ca.pem"
        self._write_certificate()
        (directory / "server.properties").write_text(self._properties())

    def start(self) -> None:
        """Start the process; :meth:`topic` waits until it serves."""
        scram = [
            f"{mechanism}=[name={name},password={PASSWORDS[name]}]" for name in PASSWORDS for mechanism in _MECHANISMS
        ]
        command = [*_JAVA, "-cp", f"{self._jars}/*", str(_HERE / "Broker.java"), "server.properties", str(self._data)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *scram], stdout=log, stderr=subprocess.STDOUT, cwd=self._directory
            )

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def address(self) -> str:
        """The plain listener."""
        return f"127.0.0.1:{self._plain}"

    @property
    def secure_address(self) -> str:
        """The listener with TLS and logins."""
        return f"localhost:{self._secure}"

    @property
    def open_address(self) -> str:
        """The listener with logins in the clear."""
        return f"127.0.0.1:{self._open}"

    def sink(self, topic: str, **options: object) -> Sink:
        """Return a sink that writes to the plain listener."""
        given = {"brokers": [self.address], "topic": topic, "security": {"protocol": "plaintext"}, "timeout": "10s"}
        return KafkaSinkConfig.model_validate({"type": "kafka", **given, **options}).build()

    async def serves(self) -> None:
        """Wait until its plain listener takes connections."""
        await eventually(lambda: self._listens() or not self._alive, _START_SECS)
        assert self._alive, self._log.read_text("utf-8", "replace")[-2000:]

    async def topic(self, name: str, partitions: int, options: Mapping[str, str] | None = None) -> str:
        """Create a topic and return its name."""
        await self.serves()
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            wanted = NewTopic(name, partitions, 1, topic_configs=dict(options or {}))
            answer = await admin.create_topics([wanted])
            assert 0 == answer.topic_errors[0][1], answer
        finally:
            await admin.close()
        return name

    async def records(self, topic: str) -> "list[ConsumerRecord[Any, Any]]":
        """Return all there is in a topic, partition by partition."""
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.address, auto_offset_reset="earliest")
        await consumer.start()
        found = []
        try:
            ends = await consumer.end_offsets(
                [TopicPartition(topic, one) for one in consumer.partitions_for_topic(topic)]
            )
            for partition, end in ends.items():
                while await consumer.position(partition) < end:
                    found += (await consumer.getmany(partition, timeout_ms=1000)).get(partition, [])
        finally:
            await consumer.stop()
        return found

    @property
    def _alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self._plain)) == 0

    def _write_certificate(self) -> None:
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        authority.cert_pem.write_to_path(self.ca_file)
        certificate = authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
        key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
        packed = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
        (self._directory / "server.pem").write_bytes(packed + chain)

    def _properties(self) -> str:
        users = " ".join(f'user_{name}="{password}"' for name, password in PASSWORDS.items())
        secure, in_the_clear = "listener.name.secure.", "listener.name.open."
        plain = f"{_LOGIN_MODULES}.plain.PlainLoginModule required {users};"
        scram = f"{_LOGIN_MODULES}.scram.ScramLoginModule required;"
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAIN",
            "listeners": f"PLAIN://127.0.0.1:{self._plain},SECURE://127.0.0.1:{self._secure},"
            f"OPEN://127.0.0.1:{self._open},"
            f"CONTROLLER://127.0.0.1:{self._controller}",
            "advertised.listeners": f"PLAIN://127.0.0.1:{self._plain},SECURE://localhost:{self._secure},"
            f"OPEN://127.0.0.1:{self._open}",
            "listener.security.protocol.map": "PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,"
            "SECURE:SASL_SSL,OPEN:SASL_PLAINTEXT",
            # A node that was killed may come back only once its last life is over by this time.
            "broker.session.timeout.ms": "1500",
            "broker.heartbeat.interval.ms": "300",
            "log.dirs": str(self._data),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:alice",
            f"{secure}ssl.keystore.type": "PEM",
            f"{secure}ssl.keystore.location": str(self._directory / "server.pem"),
            f"{secure}sasl.enabled.mechanisms": ",".join([*_MECHANISMS, "PLAIN"]),
            f"{secure}plain.sasl.jaas.config": plain,
            f"{in_the_clear}sasl.enabled.mechanisms": "PLAIN",
            f"{in_the_clear}plain.sasl.jaas.config": plain,
            **{f"{secure}{mechanism.lower()}.sasl.jaas.config": scram for mechanism in _MECHANISMS},
        }
        return "".join(f"{name}={value}\n" for name, value in lines.items())
