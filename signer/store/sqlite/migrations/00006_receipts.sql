-- +goose Up

-- Receipts without their bundles, in the order in which they were given, so
-- that a list of them reads no row of intents: those are as large as what was
-- attested. A row is made with the receipt, and never changes.
CREATE TABLE receipts (
    seq            INTEGER PRIMARY KEY,
    id             TEXT    NOT NULL UNIQUE, -- intents.id
    digest         TEXT    NOT NULL,
    predicate_type TEXT    NOT NULL,
    finished       INTEGER NOT NULL, -- Unix nanoseconds
    size           INTEGER NOT NULL, -- bytes of all bundles
    outline        TEXT    NOT NULL  -- JSON: the receipt without the bytes of bundles
) STRICT;
CREATE INDEX receipts_digest ON receipts (digest, seq);
CREATE INDEX receipts_type ON receipts (digest, predicate_type, seq);

-- Those of before: given within an hour of the time in the record of the
-- decision "signed", which was that of its beginning. Where there is no such
-- record, in no time that could be too early.
INSERT INTO receipts (id, digest, predicate_type, finished, size, outline)
SELECT i.id, i.digest, i.predicate_type,
    coalesce((SELECT max(a.time) + 3600000000000 FROM audit a WHERE a.digest = i.digest AND a.decision = 'signed' AND json_extract(a.event, '$.intentId') = i.id), 9223372036854775807),
    length(i.bundle) + coalesce((SELECT sum(length(rtrim(json_extract(o.value, '$.bundle'), '=')) * 3 / 4) FROM json_each(i.receipt, '$.others') o), 0),
    CASE WHEN json_type(i.receipt, '$.others') = 'array'
        THEN json_set(json_remove(i.receipt, '$.bundle'), '$.others', (SELECT json_group_array(json_remove(o.value, '$.bundle')) FROM json_each(i.receipt, '$.others') o))
        ELSE json_remove(i.receipt, '$.bundle') END
FROM intents i WHERE i.state = 'finished' ORDER BY i.seq;

-- +goose StatementBegin
CREATE TRIGGER receipts_kept_1 BEFORE DELETE ON receipts
BEGIN SELECT RAISE(ABORT, 'receipts are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER receipts_kept_2 BEFORE UPDATE ON receipts
BEGIN SELECT RAISE(ABORT, 'receipts are append-only'); END;
-- +goose StatementEnd
