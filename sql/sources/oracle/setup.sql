-- The common user that the connector (LogMiner) and the preflight checks connect as.
-- Run once as SYSDBA in CDB$ROOT, on a database in ARCHIVELOG mode. For a database without containers drop CONTAINER = ALL and SET CONTAINER.
-- role (beginning with C##), tablespace and password are replaced as text: double the quotes inside a value.
-- Tighter than Debezium's documentation: no SELECT ANY TABLE, FLASHBACK ANY TABLE, LOCK ANY TABLE, SELECT ANY TRANSACTION, CREATE SEQUENCE or EXECUTE_CATALOG_ROLE:
-- tables.sql grants the captured tables one by one, and snapshot.locking.mode = none needs no lock.

ALTER DATABASE FORCE LOGGING;
ALTER DATABASE ADD SUPPLEMENTAL LOG DATA;

CREATE USER "${role}" IDENTIFIED BY "${password}" DEFAULT TABLESPACE "${tablespace}" QUOTA 100M ON "${tablespace}" CONTAINER = ALL;

GRANT CREATE SESSION TO "${role}" CONTAINER = ALL;
GRANT SET CONTAINER TO "${role}" CONTAINER = ALL;

-- Reading the redo logs.
GRANT LOGMINING TO "${role}" CONTAINER = ALL;
GRANT EXECUTE ON SYS.DBMS_LOGMNR TO "${role}" CONTAINER = ALL;
GRANT EXECUTE ON SYS.DBMS_LOGMNR_D TO "${role}" CONTAINER = ALL;

-- Definitions of the captured tables (DBMS_METADATA.GET_DDL in another schema).
GRANT SELECT_CATALOG_ROLE TO "${role}" CONTAINER = ALL;

-- The connector's own table that it writes to in order to have the log flushed.
GRANT CREATE TABLE TO "${role}" CONTAINER = ALL;

GRANT SELECT ON SYS.V_$DATABASE TO "${role}" CONTAINER = ALL;
GRANT SELECT ON SYS.V_$LOG TO "${role}" CONTAINER = ALL;
GRANT SELECT ON SYS.V_$LOG_HISTORY TO "${role}" CONTAINER = ALL;
GRANT SELECT ON SYS.V_$LOGMNR_LOGS TO "${role}" CONTAINER = ALL;
GRANT SELECT ON SYS.V_$LOGMNR_CONTENTS TO "${role}" CONTAINER = ALL;
GRANT SELECT ON SYS.V_$LOGMNR_PARAMETERS TO "${role}" CONTAINER = ALL;
GRANT SELECT ON SYS.V_$LOGFILE TO "${role}" CONTAINER = ALL;
GRANT SELECT ON SYS.V_$ARCHIVED_LOG TO "${role}" CONTAINER = ALL;
GRANT SELECT ON SYS.V_$ARCHIVE_DEST_STATUS TO "${role}" CONTAINER = ALL;
GRANT SELECT ON SYS.V_$TRANSACTION TO "${role}" CONTAINER = ALL;
GRANT SELECT ON SYS.V_$MYSTAT TO "${role}" CONTAINER = ALL;
GRANT SELECT ON SYS.V_$STATNAME TO "${role}" CONTAINER = ALL;
