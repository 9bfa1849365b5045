-- Alerts, in the order in which they came. Text of others is in blobs throughout: it may
-- hold NUL and what is no UTF-8.
CREATE TABLE alert (
  seq    INTEGER PRIMARY KEY, -- without gaps
  key    BLOB NOT NULL UNIQUE, -- SHA-256 of the id
  stored INTEGER NOT NULL, -- nanoseconds since 1970, like all times here
  doc    BLOB NOT NULL, -- see press.go
  sum    BLOB NOT NULL -- SHA-256 of the sum before and this row: see chain.go
);

-- What people did.
CREATE TABLE action (
  seq  INTEGER PRIMARY KEY, -- without gaps
  time INTEGER NOT NULL,
  data BLOB NOT NULL, -- JSON
  sum  BLOB NOT NULL
);
CREATE TABLE action_alert (
  alert  INTEGER NOT NULL,
  action INTEGER NOT NULL,
  PRIMARY KEY (alert, action)
) WITHOUT ROWID;

-- What has become of the alerts that somebody has touched.
CREATE TABLE workflow (
  alert INTEGER PRIMARY KEY,
  rev   INTEGER NOT NULL, -- seq of the action that made it so
  data  BLOB NOT NULL -- JSON
);
CREATE INDEX workflow_rev ON workflow (rev);

-- The ends of both chains: of what retention removed, and of what is there.
CREATE TABLE chain (
  name       TEXT PRIMARY KEY,
  anchor     INTEGER NOT NULL,
  anchor_sum BLOB NOT NULL,
  seq        INTEGER NOT NULL,
  sum        BLOB NOT NULL
) WITHOUT ROWID;
INSERT INTO chain VALUES ('alerts', 0, zeroblob(32), 0, zeroblob(32)), ('actions', 0, zeroblob(32), 0, zeroblob(32));

-- Columns of blocks of alerts, made of the alerts: see block.go.
CREATE TABLE block (
  n    INTEGER PRIMARY KEY,
  data BLOB NOT NULL
);
CREATE TABLE field (
  name  BLOB NOT NULL,
  block INTEGER NOT NULL,
  data  BLOB NOT NULL,
  PRIMARY KEY (name, block)
) WITHOUT ROWID;
CREATE INDEX field_block ON field (block);

-- An alert of each rule, by which the others are compressed.
CREATE TABLE dictionary (
  id   INTEGER PRIMARY KEY,
  key  BLOB NOT NULL UNIQUE, -- SHA-256 of the rule's id
  data BLOB NOT NULL
);

-- Users, tokens, exceptions and so on: small things that have a name.
CREATE TABLE thing (
  kind TEXT NOT NULL,
  name BLOB NOT NULL, -- its SHA-256
  data BLOB NOT NULL, -- JSON
  PRIMARY KEY (kind, name)
) WITHOUT ROWID;

DELETE FROM chain;
PRAGMA user_version = 1;
