"""What can be set on a simulated Mimecast: accounts, flow of mail, quotas, shapes of answers, faults."""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final, Literal, Self

OWN_DOMAINS: Final = ("corp.example", "corp.org.example", "mail.corp.example")
ALL_ENDPOINTS: Final = frozenset({"queue", "finder", "domains"})

ResetStyle = Literal["milliseconds", "epoch_seconds", "epoch_milliseconds", "absent", "nonsense"]
PaginationStyle = Literal["full", "absent", "zero"]
EmptyStyle = Literal["rows", "data"]


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """One simulated tenant: a world of its own, and credentials that follow from its name.

    They are public on purpose: `demo` has client `demo` / `demo-secret`.
    """

    name: str = "demo"
    domains: tuple[str, ...] = OWN_DOMAINS
    products: frozenset[str] = ALL_ENDPOINTS
    """The endpoints this account may call; others answer 403 `app_forbidden` (reference notes §B)."""
    binding_expired: bool = False
    """Signed calls answer 418 `err_xdk_binding_expired` (reference notes §A), until a login."""
    binding_secs: float | None = None
    """How long keys sign after the start or a login; None: for ever."""
    new_keys_at_login: bool = False
    """A login answers with other keys than the old ones, which stay expired."""

    @property
    def client_id(self) -> str:
        """OAuth2 client."""
        return self.name

    @property
    def client_secret(self) -> str:
        """OAuth2 secret."""
        return f"{self.name}-secret"

    @property
    def app_id(self) -> str:
        """API 1.0 application id."""
        return f"{self.name}-app-id"

    @property
    def app_key(self) -> str:
        """API 1.0 application key, part of the signed text."""
        return f"{self.name}-app-key"

    @property
    def user_name(self) -> str:
        """Whose keys those of API 1.0 are."""
        return f"svc@{self.name}.example"

    @property
    def password(self) -> str:
        """The user's password, for a login."""
        return f"{self.name}-password"

    @property
    def access_key(self) -> str:
        """API 1.0 access key, sent in the clear."""
        return f"{self.name}-access-key"

    @property
    def secret_key(self) -> str:
        """API 1.0 secret key in base64, as handed out by Mimecast; its decoded bytes sign."""
        return b64encode(f"{self.name}-hmac-secret".encode()).decode()


@dataclass(frozen=True, slots=True)
class QuotaConfig:
    """Calls per fixed window; hmac: per account, oauth2: per account and endpoint (reference notes §D)."""

    calls: int = 600
    per_secs: float = 60.0
    headers: bool = True
    """False: no X-RateLimit header at all, as one recorded 2.0 answer had none."""
    reset: ResetStyle = "milliseconds"


@dataclass(frozen=True, slots=True)
class Shape:
    """How one endpoint words what the notes leave open (reference notes §E to §G)."""

    pagination: PaginationStyle = "full"
    """`zero`: `{"pageSize": 0}`, as seen in a finder fixture."""
    total_count: bool = True
    next_token: bool = True
    """False: answers are cut at the page size and do not say so."""
    empty: EmptyStyle = "rows"
    """An answer without rows: `[{"messages": []}]`, or `data: []`."""
    page_cap: int = 100
    page_default: int = 100


@dataclass(frozen=True, slots=True)
class FinderRules:
    """Behaviour of the finder that the notes mark as unknown (reference notes §G, §J)."""

    plain_window: bool = False
    """True: a search needs no filter."""
    end_inclusive: bool = True
    newest_first: bool = True
    stable_ids: bool = True
    """False: the same row has another id at each answer (reference notes §K)."""
    history_days: int = 30


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """Everything that shapes a simulated Mimecast; times in seconds, of the passed-in clock."""

    accounts: tuple[AccountConfig, ...] = (AccountConfig(),)
    seed: int = 1
    host: str = "127.0.0.1"
    port: int = 0
    """0: any free port."""
    mails_per_minute: float = 30.0
    """New mails of each account on average, before twins and bursts; 0: only mail added by hand."""
    history_secs: float = 3600.0
    """Mail exists from this long before the start."""
    dwell_secs: float = 5.0
    """Typical stay in the processing queue; one in twenty stays 10 to 60 times as long."""
    appearance_secs: float = 4.0
    """Typical time from leaving the queue to showing in the finder."""
    speed: float = 1.0
    """Divides the hours between two statuses (reference notes §G); arrival, queue and clock keep their pace."""
    hostile_share: float = 0.02
    """Share of subjects meant to break parsers and formats."""
    odd_share: float = 0.03
    """Share of mails spelt in another way: numbers as text, nulls, unknown keys, other key names."""
    twin_share: float = 0.01
    """Share of mails that come twice in the same second, alike in all but the id."""
    faults: str = "none"
    """Name of a fault profile, see `PROFILES`."""
    stall_secs: float = 60.0
    """How long a stalled answer takes."""
    quota: QuotaConfig = field(default_factory=QuotaConfig)
    finder: Shape = field(default_factory=lambda: Shape(total_count=False, page_cap=500))
    queue: Shape = field(default_factory=Shape)
    domains: Shape | None = None
    """None: all domains in one answer that says nothing of paging, as the vendor's page of the endpoint has it."""
    rules: FinderRules = field(default_factory=FinderRules)
    token_secs: float = 1799.0
    skew_secs: float = 900.0
    """Tolerated distance of a signed request's date from the clock."""
    clock_offset_secs: float = 0.0
    """Added to the clock, to simulate a server whose clock differs from the client's."""

    @classmethod
    def demo(cls, seed: int = 1, port: int = 0) -> Self:
        """A lively flow: with polls every 2 s all five kinds of event show within half a minute."""
        return cls(
            seed=seed,
            port=port,
            mails_per_minute=40.0,
            history_secs=600.0,
            dwell_secs=6.0,
            appearance_secs=1.5,
            speed=240.0,
        )

    @classmethod
    def quiet(cls, port: int = 0) -> Self:
        """No mail but what is added by hand."""
        return cls(mails_per_minute=0.0, history_secs=0.0, port=port)
