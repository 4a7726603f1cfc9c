-- +goose Up

-- What operators did, and which audit event tells of it: an operation that is
-- told again, after a crash or by another server, makes no second event. The
-- role of serve needs, beside the grants of 00001 and 00005:
--
--     GRANT SELECT, INSERT ON operations TO hallmark_serve;
--
-- One that serves already is given it below.

CREATE TABLE operations (
    id  text   PRIMARY KEY,
    seq bigint NOT NULL -- of audit
);

CREATE TRIGGER operations_kept BEFORE UPDATE OR DELETE ON operations FOR EACH ROW EXECUTE FUNCTION hallmark_kept();
CREATE TRIGGER operations_whole BEFORE TRUNCATE ON operations EXECUTE FUNCTION hallmark_kept();

-- +goose StatementBegin
DO $$
DECLARE who text;
BEGIN
    FOR who IN SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = 'audit'::regclass AND a.privilege_type = 'INSERT' AND a.grantee <> c.relowner
    LOOP
        EXECUTE 'GRANT SELECT, INSERT ON operations TO ' || who;
    END LOOP;
END $$;
-- +goose StatementEnd
