-- +goose Up

-- What operators did, and which audit event tells of it: an operation that is
-- told again, after a crash or by another server, makes no second event.
CREATE TABLE operations (
    id  TEXT    PRIMARY KEY,
    seq INTEGER NOT NULL REFERENCES audit (seq)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER operations_kept_1 BEFORE DELETE ON operations
BEGIN SELECT RAISE(ABORT, 'operations are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER operations_kept_2 BEFORE UPDATE ON operations
BEGIN SELECT RAISE(ABORT, 'operations are append-only'); END;
-- +goose StatementEnd
