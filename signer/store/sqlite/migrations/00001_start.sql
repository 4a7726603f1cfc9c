-- +goose Up

-- What keys the hashes of the index, see store.IndexKey. One row, made with the
-- file.
CREATE TABLE secret (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    index_key BLOB NOT NULL CHECK (length(index_key) = 32)
) STRICT;

-- A log is a row. Its head is replaced in the transaction that appends.
CREATE TABLE logs (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    kind        TEXT    NOT NULL,
    tree_id     INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    first_index INTEGER,          -- NULL: was never active
    origin      TEXT    NOT NULL,
    key         BLOB    NOT NULL, -- SubjectPublicKeyInfo, DER
    size        INTEGER NOT NULL,
    root        BLOB    NOT NULL,
    time        INTEGER NOT NULL, -- integratedTime of the last entry, Unix seconds
    checkpoint  BLOB    NOT NULL
) STRICT;

-- Bodies live in a table with a rowid: rows above a quarter of a page would
-- otherwise overflow to a page of their own. id = log << 40 | index.
CREATE TABLE entries (
    id   INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    keys BLOB    NOT NULL, -- 8 bytes each, ascending: what the entry is found by
    body BLOB    NOT NULL
) STRICT;

-- A leaf is in a log once.
CREATE TABLE leaves (
    log  INTEGER NOT NULL REFERENCES logs (id),
    leaf BLOB    NOT NULL, -- SHA-256(0x00 || body)
    idx  INTEGER NOT NULL,
    PRIMARY KEY (log, leaf)
) STRICT, WITHOUT ROWID;

-- id = log << 48 | level << 40 | n.
CREATE TABLE tiles (
    id   INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

CREATE TABLE intents (
    seq            INTEGER PRIMARY KEY,
    id             TEXT    NOT NULL UNIQUE,
    request_key    TEXT    NOT NULL,
    state          TEXT    NOT NULL CHECK (state IN ('recorded', 'signed', 'finished', 'void')),
    created        INTEGER NOT NULL, -- Unix nanoseconds
    action         TEXT    NOT NULL,
    digest         TEXT    NOT NULL,
    predicate_type TEXT    NOT NULL,
    document       TEXT    NOT NULL, -- JSON: artifact, requester, identity, rule
    statement      BLOB    NOT NULL,
    signature      BLOB,
    certificate    BLOB,
    timestamp      BLOB,
    receipt        TEXT,             -- JSON, without the bundle
    bundle         BLOB
) STRICT;
CREATE UNIQUE INDEX intents_request ON intents (request_key) WHERE state <> 'void';
CREATE INDEX intents_open ON intents (seq) WHERE state IN ('recorded', 'signed');
CREATE INDEX intents_digest ON intents (digest, seq);

CREATE TABLE audit (
    seq      INTEGER PRIMARY KEY,
    time     INTEGER NOT NULL, -- Unix nanoseconds
    decision TEXT    NOT NULL,
    digest   TEXT    NOT NULL,
    event    TEXT    NOT NULL  -- JSON
) STRICT;
CREATE INDEX audit_digest ON audit (digest, seq);

-- What is append-only is so for every program that opens this file, not only
-- for this one.

-- +goose StatementBegin
CREATE TRIGGER entries_kept_1 BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'log entries are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER entries_kept_2 BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'log entries are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER leaves_kept_1 BEFORE DELETE ON leaves
BEGIN SELECT RAISE(ABORT, 'log entries are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER leaves_kept_2 BEFORE UPDATE ON leaves
BEGIN SELECT RAISE(ABORT, 'log entries are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER tiles_kept_1 BEFORE DELETE ON tiles
BEGIN SELECT RAISE(ABORT, 'log tiles are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER tiles_kept_2 BEFORE UPDATE ON tiles
WHEN NEW.id <> OLD.id OR length(NEW.data) < length(OLD.data)
BEGIN SELECT RAISE(ABORT, 'log tiles only grow'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER logs_kept_1 BEFORE DELETE ON logs
BEGIN SELECT RAISE(ABORT, 'logs are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER logs_kept_2 BEFORE UPDATE ON logs
WHEN NEW.size < OLD.size OR NEW.time < OLD.time OR NEW.origin <> OLD.origin OR NEW.key <> OLD.key
BEGIN SELECT RAISE(ABORT, 'a log only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_kept_1 BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit records are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_kept_2 BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit records are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER intents_kept BEFORE DELETE ON intents
BEGIN SELECT RAISE(ABORT, 'intents are kept'); END;
-- +goose StatementEnd
