-- +goose Up

-- The tables are those of store/sqlite; what differs says why.
--
-- Whoever owns them may change anything, so a careful operator has
-- hallmark-server init run as the owner and serve as a role with no more than:
--
--     GRANT SELECT ON ALL TABLES IN SCHEMA public TO hallmark_serve;
--     GRANT INSERT ON logs, entries, tiles, intents, audit, spans, span_keys TO hallmark_serve;
--     GRANT UPDATE ON logs, tiles, intents TO hallmark_serve;
--     GRANT DELETE ON spans, span_keys TO hallmark_serve;
--
-- A new version of the schema is then brought in by the owner, with any command
-- of hallmark-server that opens the database.

-- What keys the hashes of the index, see store.IndexKey. One row, made here:
-- 244 random bits from the server's strong source.
CREATE TABLE secret (
    id        integer PRIMARY KEY CHECK (id = 1),
    index_key bytea   NOT NULL CHECK (length(index_key) = 32)
);
INSERT INTO secret VALUES (1, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- A log is a row. Its head is replaced in the transaction that appends; the row
-- is the lock of that transaction. Free space on its page lets new versions of
-- the row stay there, unindexed, and the next reader sweep the old ones.
CREATE TABLE logs (
    id          bigint PRIMARY KEY,
    name        text   NOT NULL UNIQUE,
    kind        text   NOT NULL,
    tree_id     bigint NOT NULL UNIQUE,
    state       text   NOT NULL CHECK (state IN ('pending', 'active', 'frozen')),
    first_index bigint,          -- NULL: was never active
    origin      text   NOT NULL,
    key         bytea  NOT NULL, -- SubjectPublicKeyInfo, DER
    size        bigint NOT NULL,
    root        bytea  NOT NULL,
    time        bigint NOT NULL, -- integratedTime of the last entry, Unix seconds
    checkpoint  bytea  NOT NULL
) WITH (fillfactor = 10);
CREATE UNIQUE INDEX logs_active ON logs (kind) WHERE state = 'active';

-- id = log << 40 | index. The leaf hash stands here, not in a table of its own:
-- PostgreSQL has no tables without a heap, and a second row would cost 80 bytes.
-- Bodies are as store.PackBody makes them, and not compressed beyond that: they
-- hold hashes and signatures, and a page more of disk is cheaper than the
-- attempt.
CREATE TABLE entries (
    id   bigint   PRIMARY KEY,
    time bigint   NOT NULL,
    leaf bytea    NOT NULL, -- SHA-256(0x00 || body)
    keys bigint[] NOT NULL, -- store.IndexKey, ascending: what the entry is found by
    body bytea    NOT NULL
);
ALTER TABLE entries ALTER COLUMN body SET STORAGE EXTERNAL;
-- A body stays with its row up to a page: slices of 2,000 bytes fill pages badly.
ALTER TABLE entries SET (toast_tuple_target = 8160);
-- A leaf is in a log once.
CREATE UNIQUE INDEX entries_leaf ON entries (((id >> 40)::integer), leaf);

-- id = log << 48 | level << 40 | n.
CREATE TABLE tiles (
    id   bigint PRIMARY KEY,
    data bytea  NOT NULL
);
ALTER TABLE tiles ALTER COLUMN data SET STORAGE EXTERNAL;

-- The index of what is behind the last few entries, see index.go. It is derived
-- from entries.keys.
CREATE TABLE spans (
    first bigint   NOT NULL, -- id of the first entry
    until bigint   NOT NULL, -- id behind the last one
    level smallint NOT NULL,
    PRIMARY KEY (first, level)
);
CREATE TABLE span_keys (
    first   bigint   NOT NULL, -- of the span
    level   smallint NOT NULL, -- of the span
    key     bigint   NOT NULL, -- keys[1]
    entry   bigint   NOT NULL, -- entries[1]
    keys    bigint[] NOT NULL,
    entries bigint[] NOT NULL, -- ids: keys[i] is a key of entries[i]
    PRIMARY KEY (first, level, key, entry)
) WITH (autovacuum_vacuum_scale_factor = 0.02); -- merged spans are replaced
ALTER TABLE span_keys ALTER COLUMN keys SET STORAGE PLAIN;
ALTER TABLE span_keys ALTER COLUMN entries SET STORAGE PLAIN;

CREATE TABLE intents (
    seq            bigint PRIMARY KEY,
    id             text   NOT NULL UNIQUE,
    request_key    text   NOT NULL,
    state          text   NOT NULL CHECK (state IN ('recorded', 'signed', 'finished', 'void')),
    owner          bigint NOT NULL, -- the process that works on it, see presence.go
    created        bigint NOT NULL, -- Unix nanoseconds
    action         text   NOT NULL,
    digest         text   NOT NULL,
    predicate_type text   NOT NULL,
    document       text   NOT NULL, -- JSON: artifact, requester, identity, rule
    statement      bytea  NOT NULL,
    signature      bytea,
    certificate    bytea,
    timestamp      bytea,
    receipt        text,            -- JSON, without the bundle
    bundle         bytea
);
CREATE UNIQUE INDEX intents_request ON intents (request_key) WHERE state <> 'void';
CREATE INDEX intents_open ON intents (seq) WHERE state IN ('recorded', 'signed');
CREATE INDEX intents_digest ON intents (digest, seq);

CREATE TABLE audit (
    seq      bigint PRIMARY KEY, -- without gaps, hence no sequence
    time     bigint NOT NULL, -- Unix nanoseconds
    decision text   NOT NULL,
    digest   text   NOT NULL,
    event    text   NOT NULL  -- JSON
);
CREATE INDEX audit_digest ON audit (digest, seq);

-- What is append-only is so for every program that may write here, not only for
-- this one.

-- +goose StatementBegin
CREATE FUNCTION hallmark_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION hallmark_tile_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR length(NEW.data) < length(OLD.data) THEN RAISE EXCEPTION 'log tiles only grow'; END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION hallmark_log_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.size < OLD.size OR NEW.time < OLD.time OR NEW.id <> OLD.id OR NEW.name <> OLD.name OR NEW.kind <> OLD.kind
        OR NEW.tree_id <> OLD.tree_id OR NEW.origin <> OLD.origin OR NEW.key <> OLD.key
        OR (OLD.first_index IS NOT NULL AND NEW.first_index IS DISTINCT FROM OLD.first_index)
        OR (OLD.state = 'frozen' AND (NEW.state <> 'frozen' OR NEW.size <> OLD.size)) OR (OLD.state = 'active' AND NEW.state = 'pending')
    THEN RAISE EXCEPTION 'a log only grows'; END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd

CREATE TRIGGER secret_kept BEFORE UPDATE ON secret FOR EACH ROW EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER entries_kept BEFORE UPDATE OR DELETE ON entries FOR EACH ROW EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER tiles_kept BEFORE DELETE ON tiles FOR EACH ROW EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER tiles_grow BEFORE UPDATE ON tiles FOR EACH ROW EXECUTE FUNCTION hallmark_tile_grows();
CREATE TRIGGER logs_kept BEFORE DELETE ON logs FOR EACH ROW EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER logs_grow BEFORE UPDATE ON logs FOR EACH ROW EXECUTE FUNCTION hallmark_log_grows();
CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER intents_kept BEFORE DELETE ON intents FOR EACH ROW EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER entries_whole BEFORE TRUNCATE ON entries EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER tiles_whole BEFORE TRUNCATE ON tiles EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER logs_whole BEFORE TRUNCATE ON logs EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER audit_whole BEFORE TRUNCATE ON audit EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER intents_whole BEFORE TRUNCATE ON intents EXECUTE FUNCTION hallmark_kept();
