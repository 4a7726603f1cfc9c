-- +goose Up

-- What keys the hashes of the index, see store.IndexKey. One row, made with the
-- file.
CREATE TABLE secret (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    index_key BLOB    NOT NULL CHECK (length(index_key) = 32)
) STRICT;

-- A log is a row. Its head is replaced in the transaction that appends.
CREATE TABLE logs (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    kind        TEXT    NOT NULL CHECK (kind IN ('v1', 'v2')),
    tree_id     INTEGER NOT NULL UNIQUE CHECK (tree_id > 0),
    state       TEXT    NOT NULL CHECK (state IN ('pending', 'active', 'frozen')),
    first_index INTEGER,          -- NULL: was never active
    origin      TEXT    NOT NULL,
    key         BLOB    NOT NULL, -- SubjectPublicKeyInfo, DER
    size        INTEGER NOT NULL,
    root        BLOB    NOT NULL,
    time        INTEGER NOT NULL, -- integratedTime of the last entry, Unix seconds
    checkpoint  BLOB    NOT NULL,
    CHECK (state <> 'active' OR first_index IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX logs_active ON logs (kind) WHERE state = 'active';

-- Bodies live in a table with a rowid: rows above a quarter of a page would
-- otherwise overflow to a page of their own. id = log << 40 | index.
CREATE TABLE entries (
    id   INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    keys BLOB    NOT NULL, -- 8 bytes each, ascending: what the entry is found by
    body BLOB    NOT NULL  -- store.PackBody
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

-- The index, see postings.go: blocks of sorted postings, and how many entries
-- the complete runs of each level cover. It is made from entries.keys.
-- run = log << 48 | level << 40 | n; key and entry are those of the first
-- posting. Blocks have a table with a rowid and an index beside it: the pages
-- above the leaves of a table without one would hold whole blocks, eight to a
-- page, and a search would read five pages to find the right one.
CREATE TABLE postings (
    id    INTEGER PRIMARY KEY,
    run   INTEGER NOT NULL,
    key   INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    data  BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX postings_order ON postings (run, key, entry);
CREATE TABLE coverage (
    log     INTEGER NOT NULL REFERENCES logs (id),
    level   INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    PRIMARY KEY (log, level)
) STRICT, WITHOUT ROWID;

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
WHEN NEW.id <> OLD.id OR NEW.name <> OLD.name OR NEW.kind <> OLD.kind OR NEW.tree_id <> OLD.tree_id
  OR NEW.origin <> OLD.origin OR NEW.key <> OLD.key OR NEW.size < OLD.size OR NEW.time < OLD.time
BEGIN SELECT RAISE(ABORT, 'a log only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER logs_kept_3 BEFORE UPDATE ON logs
WHEN OLD.state = 'frozen' AND (NEW.state <> 'frozen' OR NEW.size <> OLD.size OR NEW.root <> OLD.root OR NEW.checkpoint <> OLD.checkpoint)
  OR OLD.state = 'active' AND NEW.state = 'pending'
BEGIN SELECT RAISE(ABORT, 'a log''s state only moves forward'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER logs_kept_4 BEFORE UPDATE ON logs
WHEN OLD.first_index IS NOT NULL AND NEW.first_index IS NOT OLD.first_index
  OR OLD.first_index IS NULL AND NEW.first_index IS NOT NULL AND NEW.state <> 'active'
BEGIN SELECT RAISE(ABORT, 'a log''s first index is set once'); END;
-- +goose StatementEnd
-- Blocks go when the next level has their postings: see drop in merge.go. A
-- run of level l has 1 << (4 + 4 * l) entries.
-- +goose StatementBegin
CREATE TRIGGER postings_kept_1 BEFORE DELETE ON postings
WHEN ((OLD.run & 0xffffffffff) + 1) << (4 + 4 * (OLD.run >> 40 & 0xff)) > coalesce((
  SELECT entries FROM coverage WHERE log = OLD.run >> 48 AND level = (OLD.run >> 40 & 0xff) + 1), 0)
BEGIN SELECT RAISE(ABORT, 'index blocks are kept until they are merged'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER postings_kept_2 BEFORE UPDATE ON postings
BEGIN SELECT RAISE(ABORT, 'index blocks are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER coverage_kept_1 BEFORE DELETE ON coverage
BEGIN SELECT RAISE(ABORT, 'coverage of the index only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER coverage_kept_2 BEFORE UPDATE ON coverage
WHEN NEW.log <> OLD.log OR NEW.level <> OLD.level OR NEW.entries < OLD.entries
BEGIN SELECT RAISE(ABORT, 'coverage of the index only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER secret_kept_1 BEFORE DELETE ON secret
BEGIN SELECT RAISE(ABORT, 'the secret of the index is kept'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER secret_kept_2 BEFORE UPDATE ON secret
BEGIN SELECT RAISE(ABORT, 'the secret of the index is kept'); END;
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
