-- +goose Up

-- Certificates that were issued on request, and what their holders have logged:
-- one signature each, once in a log of each kind. Rows are removed a day after
-- the certificate's end, when nothing can be logged with it any more.
CREATE TABLE certificates (
    id        BLOB    PRIMARY KEY, -- SHA-256 of TBSCertificate
    expires   INTEGER NOT NULL,    -- Unix seconds
    signature BLOB,                -- SHA-256 of the one signature; NULL: none yet
    v1        BLOB,                -- its leaf hashes
    v2        BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX certificates_expires ON certificates (expires);

-- What was used stays used.
-- +goose StatementBegin
CREATE TRIGGER certificates_kept BEFORE UPDATE ON certificates
WHEN NEW.id <> OLD.id OR NEW.expires <> OLD.expires
  OR OLD.signature IS NOT NULL AND NEW.signature IS NOT OLD.signature
  OR OLD.v1 IS NOT NULL AND NEW.v1 IS NOT OLD.v1 OR OLD.v2 IS NOT NULL AND NEW.v2 IS NOT OLD.v2
BEGIN SELECT RAISE(ABORT, 'a certificate is used once'); END;
-- +goose StatementEnd
