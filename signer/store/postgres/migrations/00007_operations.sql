-- +goose Up

-- What operators did, and which audit event tells of it: an operation that is
-- told again, after a crash or by another server, makes no second event. The
-- role of serve needs, beside the grants of 00001 and 00005:
--
--     GRANT INSERT ON operations TO hallmark_serve;

CREATE TABLE operations (
    id  text   PRIMARY KEY,
    seq bigint NOT NULL -- of audit
);

CREATE TRIGGER operations_kept BEFORE UPDATE OR DELETE ON operations FOR EACH ROW EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER operations_whole BEFORE TRUNCATE ON operations EXECUTE FUNCTION hallmark_kept();
