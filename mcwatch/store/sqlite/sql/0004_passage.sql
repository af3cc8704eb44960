-- Stays of queue entries, for the finder to find the mail's dwell time (domain/passage.py). Keys go by time: place is
-- some minutes of the entry's created time, so what is written and asked for lies together. ended is empty while the
-- entry is in the queue: then its row in stay says how long it has been.
CREATE TABLE passage (
  account_id   INTEGER NOT NULL REFERENCES account (id),
  place        INTEGER NOT NULL,
  traits       INTEGER NOT NULL,
  entry        BLOB    NOT NULL,
  visit        INTEGER NOT NULL,
  queue        TEXT    NOT NULL,
  created_ms   INTEGER NOT NULL,
  ended        BLOB    NOT NULL,
  taken        INTEGER NOT NULL DEFAULT 0,
  touched_secs INTEGER NOT NULL,
  PRIMARY KEY (account_id, place, traits, entry, visit)
) STRICT, WITHOUT ROWID;

CREATE INDEX passage_by_touch ON passage (touched_secs);
