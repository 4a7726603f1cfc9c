-- +goose Up

-- The tables are those of store/sqlite. A role that serves and does not own the
-- tables (see the first migration) needs as well:
--
--     GRANT SELECT, INSERT, DELETE ON token_uses TO hallmark_serve;
--     GRANT SELECT, INSERT, UPDATE ON token_clock TO hallmark_serve;

-- Which requests a token has served, see signer.TokenUse. A use is forgotten
-- when token_clock has passed its token.
CREATE TABLE token_uses (
    token   bytea  NOT NULL CHECK (length(token) = 32),
    request text   NOT NULL, -- the request_key of an intent
    holder  bytea  NOT NULL CHECK (length(holder) = 32),
    until   bigint NOT NULL, -- Unix seconds
    PRIMARY KEY (token, request)
);
CREATE INDEX token_uses_until ON token_uses (until);

-- The time up to which uses may be forgotten: Unix seconds, one row, made by the
-- first use. It only moves forward.
CREATE TABLE token_clock (
    id   integer PRIMARY KEY CHECK (id = 1),
    time bigint  NOT NULL
) WITH (fillfactor = 10);

-- +goose StatementBegin
CREATE FUNCTION hallmark_use_expired() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.until >= coalesce((SELECT time FROM token_clock), 0) THEN RAISE EXCEPTION 'uses of a token are kept until it has expired'; END IF;
    RETURN OLD;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION hallmark_clock_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.time < OLD.time THEN RAISE EXCEPTION 'the clock of tokens only moves forward'; END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER token_uses_expired BEFORE DELETE ON token_uses FOR EACH ROW EXECUTE FUNCTION hallmark_use_expired();
CREATE TRIGGER token_uses_kept BEFORE UPDATE ON token_uses FOR EACH ROW EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER token_uses_whole BEFORE TRUNCATE ON token_uses EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER token_clock_forward BEFORE UPDATE ON token_clock FOR EACH ROW EXECUTE FUNCTION hallmark_clock_forward();
CREATE TRIGGER token_clock_kept BEFORE DELETE ON token_clock FOR EACH ROW EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER token_clock_whole BEFORE TRUNCATE ON token_clock EXECUTE FUNCTION hallmark_kept();
