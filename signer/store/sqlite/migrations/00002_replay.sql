-- +goose Up

-- Which requests a token has served, see signer.TokenUse. A use is forgotten
-- when token_clock has passed its token.
CREATE TABLE token_uses (
    token   BLOB    NOT NULL CHECK (length(token) = 32),
    request TEXT    NOT NULL, -- the request_key of an intent
    holder  BLOB    NOT NULL CHECK (length(holder) = 32),
    until   INTEGER NOT NULL, -- Unix seconds
    PRIMARY KEY (token, request)
) STRICT, WITHOUT ROWID;
CREATE INDEX token_uses_until ON token_uses (until);

-- The time up to which uses may be forgotten: Unix seconds, one row, made by the
-- first use. It only moves forward.
CREATE TABLE token_clock (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    time INTEGER NOT NULL
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER token_uses_kept_1 BEFORE DELETE ON token_uses
WHEN OLD.until >= coalesce((SELECT time FROM token_clock), 0)
BEGIN SELECT RAISE(ABORT, 'uses of a token are kept until it has expired'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER token_uses_kept_2 BEFORE UPDATE ON token_uses
BEGIN SELECT RAISE(ABORT, 'uses of a token are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER token_clock_kept_1 BEFORE DELETE ON token_clock
BEGIN SELECT RAISE(ABORT, 'the clock of tokens is kept'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER token_clock_kept_2 BEFORE UPDATE ON token_clock
WHEN NEW.time < OLD.time
BEGIN SELECT RAISE(ABORT, 'the clock of tokens only moves forward'); END;
-- +goose StatementEnd
