-- The first schema. Times are Unix time: seconds where the column says _secs, milliseconds where it says _ms.

-- head is the offset behind the newest event. It only ever grows, in the transaction that appends, and expiry never
-- touches it: an offset is never used twice.
CREATE TABLE account (
  id   INTEGER PRIMARY KEY,
  name TEXT    NOT NULL UNIQUE,
  head INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE feed (
  id          INTEGER PRIMARY KEY,
  account_id  INTEGER NOT NULL REFERENCES account (id),
  source      TEXT    NOT NULL,
  new         INTEGER NOT NULL DEFAULT 0,
  duplicate   INTEGER NOT NULL DEFAULT 0,
  undecodable INTEGER NOT NULL DEFAULT 0,
  UNIQUE (account_id, source)
) STRICT;

CREATE TABLE cursor (
  feed_id INTEGER NOT NULL REFERENCES feed (id),
  name    TEXT    NOT NULL,
  value   BLOB    NOT NULL,
  PRIMARY KEY (feed_id, name)
) STRICT, WITHOUT ROWID;

-- One row per feed and second of the rows' own time: slot = feed.id << 34 | second. New rows land at a feed's end, so
-- inserts are cheap at any size and expiry is one range. marks are 16-byte fingerprints one after the other, chains the
-- lifecycle state beside them. touched_secs is set where the second is no time (see domain/fingerprint.py) and for the
-- stays of a queue, which end long after the mail's own time: such a row goes when both are past.
CREATE TABLE seen (
  slot         INTEGER PRIMARY KEY,
  marks        BLOB NOT NULL,
  chains       BLOB NOT NULL,
  touched_secs INTEGER
) STRICT;

-- Entries that are in a processing queue now.
CREATE TABLE stay (
  feed_id INTEGER NOT NULL REFERENCES feed (id),
  queue   TEXT    NOT NULL,
  key     BLOB    NOT NULL,
  body    BLOB    NOT NULL,
  PRIMARY KEY (feed_id, queue, key)
) STRICT, WITHOUT ROWID;

-- The log: one row per page, its events as zstd-compressed JSON lines.
CREATE TABLE outbox (
  id           INTEGER PRIMARY KEY,
  account_id   INTEGER NOT NULL REFERENCES account (id),
  first_offset INTEGER NOT NULL,
  count        INTEGER NOT NULL,
  observed_ms  INTEGER NOT NULL,
  stored_bytes INTEGER NOT NULL,
  body         BLOB    NOT NULL
) STRICT;

-- Covers every question but the one for the body, so that counting a backlog never reads it.
CREATE UNIQUE INDEX outbox_log ON outbox (account_id, first_offset, count, stored_bytes, observed_ms);

-- gone_secs is when the destination was first missing from the configuration.
CREATE TABLE destination (
  id        INTEGER PRIMARY KEY,
  name      TEXT NOT NULL UNIQUE,
  gone_secs INTEGER
) STRICT;

-- origin is where the destination began. position - origin = delivered + not_selected + skipped + dead-lettered.
CREATE TABLE position (
  destination_id INTEGER NOT NULL REFERENCES destination (id),
  account_id     INTEGER NOT NULL REFERENCES account (id),
  origin         INTEGER NOT NULL,
  position       INTEGER NOT NULL,
  delivered      INTEGER NOT NULL DEFAULT 0,
  not_selected   INTEGER NOT NULL DEFAULT 0,
  skipped        INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (destination_id, account_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE refusal (
  destination_id INTEGER NOT NULL REFERENCES destination (id),
  reason         TEXT    NOT NULL,
  count          INTEGER NOT NULL,
  PRIMARY KEY (destination_id, reason)
) STRICT, WITHOUT ROWID;

-- destination_id is null for a row that could not be decoded; body is the native event or that row's bytes.
CREATE TABLE dead_letter (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  destination_id INTEGER REFERENCES destination (id),
  account_id     INTEGER NOT NULL REFERENCES account (id),
  event_id       TEXT    NOT NULL,
  reason         TEXT    NOT NULL,
  detail         TEXT    NOT NULL,
  body           BLOB    NOT NULL,
  at_ms          INTEGER NOT NULL
) STRICT;

CREATE INDEX dead_letter_by_destination ON dead_letter (destination_id, account_id);
CREATE INDEX dead_letter_by_age ON dead_letter (at_ms);
