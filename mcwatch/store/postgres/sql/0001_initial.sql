-- The first schema of the shared store. Times are Unix time: seconds where the column says _secs, milliseconds where it
-- says _ms; what replicas tell each other is the database's own time. Names are told apart byte by byte.

CREATE TABLE account (
  id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  -- The offset behind the newest event: it only grows, in the transaction that appends, and expiry never touches it.
  head bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE feed (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id  bigint NOT NULL REFERENCES account (id),
  source      text COLLATE "C" NOT NULL,
  new         bigint NOT NULL DEFAULT 0,
  duplicate   bigint NOT NULL DEFAULT 0,
  undecodable bigint NOT NULL DEFAULT 0,
  UNIQUE (account_id, source)
) WITH (fillfactor = 50);

CREATE TABLE cursor (
  feed_id bigint NOT NULL REFERENCES feed (id),
  name    text COLLATE "C" NOT NULL,
  value   bytea NOT NULL,
  PRIMARY KEY (feed_id, name)
) WITH (fillfactor = 50);

-- One row per feed and second of the rows' own time. marks are 16-byte fingerprints one after the other, chains the
-- lifecycle state beside them. A partition holds one day: what is past its time goes by dropping whole partitions, which
-- costs the same at any size. The program makes partitions ahead of time and names them seen_<first second>.
CREATE TABLE seen (
  feed_id bigint NOT NULL,
  second  bigint NOT NULL,
  marks   bytea  NOT NULL,
  chains  bytea  NOT NULL,
  PRIMARY KEY (feed_id, second)
) PARTITION BY RANGE (second);

-- The rows of which the second does not say when they may go (domain/fingerprint.py): stays of a queue, rows that the
-- API shows although they are as old as its history, seconds that are no time or outside the partitions. A (feed,
-- second) is here or in seen, never in both.
CREATE TABLE seen_lasting (
  feed_id      bigint NOT NULL,
  second       bigint NOT NULL,
  marks        bytea  NOT NULL,
  chains       bytea  NOT NULL,
  touched_secs bigint NOT NULL,
  PRIMARY KEY (feed_id, second)
);

CREATE INDEX seen_lasting_by_touch ON seen_lasting (touched_secs);

-- Entries that are in a processing queue now.
CREATE TABLE stay (
  feed_id bigint NOT NULL REFERENCES feed (id),
  queue   text COLLATE "C" NOT NULL,
  key     bytea NOT NULL,
  body    bytea NOT NULL,
  PRIMARY KEY (feed_id, queue, key)
);

-- Stays of queue entries, for the finder to find the mail's dwell time (domain/passage.py).
CREATE TABLE passage (
  account_id   bigint NOT NULL REFERENCES account (id),
  place        bigint NOT NULL,
  traits       bigint NOT NULL,
  entry        bytea NOT NULL,
  visit        bigint NOT NULL,
  queue        text COLLATE "C" NOT NULL,
  created_ms   bigint NOT NULL,
  ended        bytea NOT NULL,
  taken        boolean NOT NULL DEFAULT false,
  touched_secs bigint NOT NULL,
  PRIMARY KEY (account_id, place, traits, entry, visit)
);

CREATE INDEX passage_by_touch ON passage (touched_secs);

-- What of a search was read, to the second: spans that never overlap, half-open.
CREATE TABLE coverage (
  feed_id    bigint NOT NULL REFERENCES feed (id),
  search     text COLLATE "C" NOT NULL,
  start_secs bigint NOT NULL,
  end_secs   bigint NOT NULL,
  cover      text COLLATE "C" NOT NULL,
  at_secs    bigint NOT NULL,
  PRIMARY KEY (feed_id, search, start_secs)
) WITH (fillfactor = 50);

-- The log: one row per page, its events as zstd-compressed JSON lines, which nothing compresses further. Deleted in
-- ranges of the key, oldest first.
CREATE TABLE outbox (
  account_id   bigint NOT NULL REFERENCES account (id),
  first_offset bigint NOT NULL,
  count        bigint NOT NULL,
  observed_ms  bigint NOT NULL,
  stored_bytes bigint NOT NULL,
  body         bytea NOT NULL,
  -- Covers every question but the one for the body, so that counting a backlog never reads it.
  PRIMARY KEY (account_id, first_offset) INCLUDE (count, stored_bytes, observed_ms)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_insert_threshold = 20000,
        autovacuum_vacuum_insert_scale_factor = 0);

ALTER TABLE outbox ALTER COLUMN body SET STORAGE EXTERNAL;

-- channel is what a receiver may know a destination by, the same across restarts: 16 random bytes. gone_secs is when it
-- was first missing from the configuration, released_secs when its positions were given up.
CREATE TABLE destination (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name          text COLLATE "C" NOT NULL UNIQUE,
  channel       bytea NOT NULL,
  gone_secs     bigint,
  released_secs bigint
);

-- origin is where the destination began. position - origin = delivered + not_selected + skipped + dead-lettered.
CREATE TABLE position (
  destination_id bigint NOT NULL REFERENCES destination (id),
  account_id     bigint NOT NULL REFERENCES account (id),
  origin         bigint NOT NULL,
  position       bigint NOT NULL,
  delivered      bigint NOT NULL DEFAULT 0,
  not_selected   bigint NOT NULL DEFAULT 0,
  skipped        bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (destination_id, account_id)
) WITH (fillfactor = 50);

CREATE INDEX position_by_account ON position (account_id);

-- Per account, so that two replicas never write one row.
CREATE TABLE refusal (
  destination_id bigint NOT NULL REFERENCES destination (id),
  account_id     bigint NOT NULL REFERENCES account (id),
  reason         text COLLATE "C" NOT NULL,
  count          bigint NOT NULL,
  PRIMARY KEY (destination_id, account_id, reason)
);

-- Batches handed over whose receiver has not said yet that it has stored them.
CREATE TABLE receipt (
  destination_id bigint NOT NULL REFERENCES destination (id),
  account_id     bigint NOT NULL REFERENCES account (id),
  start_offset   bigint NOT NULL,
  end_offset     bigint NOT NULL,
  delivered      bigint NOT NULL,
  token          bytea NOT NULL,
  at_ms          bigint NOT NULL,
  PRIMARY KEY (destination_id, account_id, start_offset)
) WITH (fillfactor = 50);

-- What a destination did not get because the backlog was full and its when_full is skip.
CREATE TABLE skip (
  destination_id bigint NOT NULL REFERENCES destination (id),
  account_id     bigint NOT NULL REFERENCES account (id),
  start_offset   bigint NOT NULL,
  end_offset     bigint NOT NULL,
  from_ms        bigint NOT NULL,
  at_ms          bigint NOT NULL,
  PRIMARY KEY (destination_id, account_id, start_offset)
);

-- destination_id is null for a row that could not be decoded; body is the native event or that row's bytes.
CREATE TABLE dead_letter (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  destination_id bigint REFERENCES destination (id),
  account_id     bigint NOT NULL REFERENCES account (id),
  event_id       text COLLATE "C" NOT NULL,
  reason         text COLLATE "C" NOT NULL,
  detail         text NOT NULL,
  body           bytea NOT NULL,
  at_ms          bigint NOT NULL
);

CREATE INDEX dead_letter_by_destination ON dead_letter (destination_id, account_id);
CREATE INDEX dead_letter_by_age ON dead_letter (at_ms);

-- Processes that work on this store. seen_at is when one was last heard of; its leases live and die with that. accounts
-- are the ids of those it is configured with, report the status it published last (JSON).
CREATE TABLE replica (
  id         uuid PRIMARY KEY,
  name       text NOT NULL,
  version    text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  accounts   bigint[] NOT NULL,
  -- The names of those it is configured with; one that is nobody's is released after a while.
  destinations text[] NOT NULL DEFAULT '{}',
  report     bytea NOT NULL DEFAULT ''
) WITH (fillfactor = 50);

-- One row per account, made with it. The epoch grows with each taking: every write of a page or a position locks the
-- row and compares holder and epoch, so whoever has lost an account writes nothing of it. budget is what the last holder
-- knew of the account's request budget (seconds by name, as of budget_at).
CREATE TABLE lease (
  account_id bigint PRIMARY KEY REFERENCES account (id),
  holder     uuid,
  epoch      bigint NOT NULL DEFAULT 0,
  since      timestamptz NOT NULL DEFAULT clock_timestamp(),
  budget     jsonb NOT NULL DEFAULT '{}',
  budget_at  timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- What people ask the fleet to do. account_id is the account whose holder is to do it, null for any replica; taken_by
-- the replica that does it. answer is JSON; failure, where it failed, the error's parts as JSON.
CREATE TABLE command (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id bigint REFERENCES account (id),
  path       text NOT NULL,
  question   bytea NOT NULL,
  asked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Whoever asked says that it still waits: what nobody waits for is not begun.
  waited_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  taken_by   uuid,
  answer     bytea,
  failure    bytea,
  answered_at timestamptz
);

CREATE INDEX command_open ON command (id) WHERE answered_at IS NULL;
