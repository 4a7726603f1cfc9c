-- +goose Up

-- Receipts without their bundles, in the order in which they were given, so
-- that a list of them reads no row of intents: those are as large as what was
-- attested. A row is made with the receipt, and never changes. A role that
-- serves and does not own the tables (see the first migration) needs as well:
--
--     GRANT SELECT, INSERT ON receipts TO hallmark_serve;
--
-- One that serves already is given it below, because an older server goes on.

-- Nobody finishes an intent between the reading of those that are finished and
-- the trigger that waits for others: its receipt would be in no list. Servers
-- wait meanwhile.
LOCK TABLE intents IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE receipts (
    seq            bigint PRIMARY KEY, -- without gaps, hence no sequence
    id             text   NOT NULL UNIQUE, -- intents.id
    digest         text   NOT NULL,
    predicate_type text   NOT NULL,
    finished       bigint NOT NULL, -- Unix nanoseconds
    size           bigint NOT NULL, -- bytes of all bundles
    outline        text   NOT NULL  -- JSON: the receipt without the bytes of bundles
);
CREATE INDEX receipts_digest ON receipts (digest, seq);
CREATE INDEX receipts_type ON receipts (digest, predicate_type, seq);

-- +goose StatementBegin
CREATE FUNCTION hallmark_outline(receipt text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    -- jsonb has no NUL; nothing that a receipt says has one either
    SELECT ((r - 'bundle' - 'others') || CASE WHEN jsonb_typeof(r -> 'others') = 'array'
        THEN jsonb_build_object('others', (SELECT coalesce(jsonb_agg(o - 'bundle' ORDER BY n), '[]') FROM jsonb_array_elements(r -> 'others') WITH ORDINALITY AS e (o, n)))
        ELSE '{}' END)::text
    FROM (SELECT replace(receipt, '\u0000', '\ufffd')::jsonb AS r) AS parsed
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION hallmark_bundles(receipt text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(sum(length(rtrim(o ->> 'bundle', '=')) * 3 / 4), 0)::bigint FROM json_array_elements(
        CASE WHEN json_typeof(receipt::json -> 'others') = 'array' THEN receipt::json -> 'others' ELSE '[]' END) AS o
$$;
-- +goose StatementEnd

-- Those of before: given within an hour of the time in the record of the
-- decision "signed", which was that of its beginning. Where there is no such
-- record, in no time that could be too early.
INSERT INTO receipts (seq, id, digest, predicate_type, finished, size, outline)
SELECT row_number() OVER (ORDER BY i.seq), i.id, i.digest, i.predicate_type,
    coalesce((SELECT max(a.time) + 3600000000000 FROM audit a WHERE a.digest = i.digest AND a.decision = 'signed' AND a.event::json ->> 'intentId' = i.id), 9223372036854775807),
    length(i.bundle) + hallmark_bundles(i.receipt), hallmark_outline(i.receipt)
FROM intents i WHERE i.state = 'finished';

-- An older hallmark-server that still serves beside the one that brought this
-- version makes no rows here. Its receipts are not left out.
-- +goose StatementBegin
CREATE FUNCTION hallmark_receipt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM receipts WHERE id = NEW.id) THEN
        INSERT INTO receipts (seq, id, digest, predicate_type, finished, size, outline)
        VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM receipts), NEW.id, NEW.digest, NEW.predicate_type,
            (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000, length(NEW.bundle) + hallmark_bundles(NEW.receipt), hallmark_outline(NEW.receipt));
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER intents_receipt AFTER UPDATE ON intents FOR EACH ROW
    WHEN (NEW.state = 'finished' AND OLD.state <> 'finished') EXECUTE FUNCTION hallmark_receipt();

CREATE TRIGGER receipts_kept BEFORE UPDATE OR DELETE ON receipts FOR EACH ROW EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER receipts_whole BEFORE TRUNCATE ON receipts EXECUTE FUNCTION hallmark_kept();

-- +goose StatementBegin
DO $$
DECLARE who text;
BEGIN
    FOR who IN SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = 'intents'::regclass AND a.privilege_type = 'UPDATE' AND a.grantee <> c.relowner
    LOOP
        EXECUTE 'GRANT SELECT, INSERT ON receipts TO ' || who;
    END LOOP;
END $$;
-- +goose StatementEnd
