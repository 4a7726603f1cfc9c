-- +goose Up

-- Certificates that were issued on request, and what their holders have logged:
-- one signature each, once in a log of each kind. Rows are removed a day after
-- the certificate's end, when nothing can be logged with it any more. The role
-- of serve needs, beside the grants of 00001:
--
--     GRANT INSERT, UPDATE, DELETE ON certificates TO hallmark_serve;

CREATE TABLE certificates (
    id        bytea  PRIMARY KEY, -- SHA-256 of TBSCertificate
    expires   bigint NOT NULL,    -- Unix seconds
    signature bytea,              -- SHA-256 of the one signature; NULL: none yet
    v1        bytea,              -- its leaf hashes
    v2        bytea
);
CREATE INDEX certificates_expires ON certificates (expires);

-- What was used stays used.

-- +goose StatementBegin
CREATE FUNCTION hallmark_used_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.expires <> OLD.expires OR (OLD.signature IS NOT NULL AND NEW.signature IS DISTINCT FROM OLD.signature)
        OR (OLD.v1 IS NOT NULL AND NEW.v1 IS DISTINCT FROM OLD.v1) OR (OLD.v2 IS NOT NULL AND NEW.v2 IS DISTINCT FROM OLD.v2)
    THEN RAISE EXCEPTION 'a certificate is used once'; END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER certificates_kept BEFORE UPDATE ON certificates FOR EACH ROW EXECUTE FUNCTION hallmark_used_once();
