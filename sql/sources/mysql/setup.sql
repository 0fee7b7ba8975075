-- The user that the connector and the preflight checks connect as: it may read the captured databases and the log, and nothing else.
-- Run once, as an administrator. MySQL 8.0.23 or later (FLUSH_TABLES instead of RELOAD).
-- role, database and password are replaced as text: double the quotes inside a value; write \_ for _ in the database, since GRANT takes patterns.
-- Over a network add: ALTER USER .. REQUIRE SSL
-- Left out on purpose: RELOAD, LOCK TABLES, SHOW DATABASES, PROCESS, any right to write.

CREATE USER IF NOT EXISTS '${role}'@'%' IDENTIFIED BY '${password}' WITH MAX_USER_CONNECTIONS 10;

-- The rows, their definitions (SHOW CREATE TABLE) and information_schema.
-- A source may have tables of many databases: repeat this line for each, before the connector is registered for the first time, which then
-- notes the definitions of all tables that it may see.
GRANT SELECT ON `${database}`.* TO '${role}'@'%';

-- FLUSH TABLES WITH READ LOCK, held for the moment in which the initial snapshot notes its position.
GRANT FLUSH_TABLES ON *.* TO '${role}'@'%';

-- Reading the binary log, and asking for its position.
GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '${role}'@'%';
