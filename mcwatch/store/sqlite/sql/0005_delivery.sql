-- What a receiver may know a destination by, the same across restarts: 16 random bytes.
ALTER TABLE destination ADD COLUMN channel BLOB;

-- Batches handed over whose receiver has not said yet that it has stored them: events from start_offset up to
-- end_offset, delivered of them sent and the others not selected. A row goes when the position has passed it, or is
-- replaced when its events were sent again.
CREATE TABLE receipt (
  destination_id INTEGER NOT NULL REFERENCES destination (id),
  account_id     INTEGER NOT NULL REFERENCES account (id),
  start_offset   INTEGER NOT NULL,
  end_offset     INTEGER NOT NULL,
  delivered      INTEGER NOT NULL,
  token          BLOB    NOT NULL,
  at_ms          INTEGER NOT NULL,
  PRIMARY KEY (destination_id, account_id, start_offset)
) STRICT, WITHOUT ROWID;

-- What a destination did not get because the backlog was full and its when_full is skip: recorded from from_ms on, passed
-- over at at_ms.
CREATE TABLE skip (
  destination_id INTEGER NOT NULL REFERENCES destination (id),
  account_id     INTEGER NOT NULL REFERENCES account (id),
  start_offset   INTEGER NOT NULL,
  end_offset     INTEGER NOT NULL,
  from_ms        INTEGER NOT NULL,
  at_ms          INTEGER NOT NULL,
  PRIMARY KEY (destination_id, account_id, start_offset)
) STRICT, WITHOUT ROWID;
