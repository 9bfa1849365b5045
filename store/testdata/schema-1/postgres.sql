-- Alerts, in the order in which they came. Text of others is in bytea throughout: it may
-- hold NUL and what is no UTF-8.
CREATE TABLE alert (
  seq    BIGINT PRIMARY KEY, -- without gaps
  key    BYTEA NOT NULL UNIQUE, -- SHA-256 of the id
  stored BIGINT NOT NULL, -- nanoseconds since 1970, like all times here
  doc    BYTEA NOT NULL, -- see press.go
  sum    BYTEA NOT NULL -- SHA-256 of the sum before and this row: see chain.go
);

-- What people did.
CREATE TABLE action (
  seq  BIGINT PRIMARY KEY, -- without gaps
  time BIGINT NOT NULL,
  data BYTEA NOT NULL, -- JSON
  sum  BYTEA NOT NULL
);
CREATE TABLE action_alert (
  alert  BIGINT NOT NULL,
  action BIGINT NOT NULL,
  PRIMARY KEY (alert, action)
);

-- What has become of the alerts that somebody has touched.
CREATE TABLE workflow (
  alert BIGINT PRIMARY KEY,
  rev   BIGINT NOT NULL, -- seq of the action that made it so
  data  BYTEA NOT NULL -- JSON
);
CREATE INDEX workflow_rev ON workflow (rev);

-- The ends of both chains: of what retention removed, and of what is there.
CREATE TABLE chain (
  name       TEXT PRIMARY KEY,
  anchor     BIGINT NOT NULL,
  anchor_sum BYTEA NOT NULL,
  seq        BIGINT NOT NULL,
  sum        BYTEA NOT NULL
);
INSERT INTO chain VALUES ('alerts', 0, decode(repeat('00', 32), 'hex'), 0, decode(repeat('00', 32), 'hex')), ('actions', 0, decode(repeat('00', 32), 'hex'), 0, decode(repeat('00', 32), 'hex'));

-- Columns of blocks of alerts, made of the alerts: see block.go.
CREATE TABLE block (
  n    BIGINT PRIMARY KEY,
  data BYTEA NOT NULL
);
CREATE TABLE field (
  name  BYTEA NOT NULL,
  block BIGINT NOT NULL,
  data  BYTEA NOT NULL,
  PRIMARY KEY (name, block)
);
CREATE INDEX field_block ON field (block);

-- An alert of each rule, by which the others are compressed.
CREATE TABLE dictionary (
  id   BIGINT PRIMARY KEY,
  key  BYTEA NOT NULL UNIQUE, -- SHA-256 of the rule's id
  data BYTEA NOT NULL
);

-- Users, tokens, exceptions and so on: small things that have a name.
CREATE TABLE thing (
  kind TEXT NOT NULL,
  name BYTEA NOT NULL, -- its SHA-256
  data BYTEA NOT NULL, -- JSON
  PRIMARY KEY (kind, name)
);

DELETE FROM chain;
CREATE TABLE orlop_schema (version BIGINT NOT NULL);
INSERT INTO orlop_schema VALUES (1);
