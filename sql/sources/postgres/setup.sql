-- The role that the connector and the preflight checks connect as: it may read the captured tables and the log, and nothing else.
-- Run once, as a superuser, connected to the captured database. pg_hba.conf: hostssl, scram-sha-256.
-- role, database, schema, owner and password are replaced as text: double the quotes inside a value.
-- Left out on purpose: SUPERUSER, BYPASSRLS, CREATE, any right to write, pg_read_all_data, a heartbeat or signal table.

CREATE ROLE "${role}" WITH LOGIN REPLICATION NOINHERIT CONNECTION LIMIT 10 PASSWORD '${password}';

-- No statement of this role may wait for a lock for long, or write by mistake.
ALTER ROLE "${role}" SET lock_timeout = '10s';
ALTER ROLE "${role}" SET default_transaction_read_only = on;

GRANT CONNECT ON DATABASE "${database}" TO "${role}";
GRANT USAGE ON SCHEMA "${schema}" TO "${role}";
GRANT SELECT ON ALL TABLES IN SCHEMA "${schema}" TO "${role}";

-- Tables that the owner of the captured tables creates later.
ALTER DEFAULT PRIVILEGES FOR ROLE "${owner}" IN SCHEMA "${schema}" GRANT SELECT ON TABLES TO "${role}";
