-- Once for each captured table, in the container that holds it, as its owner or a DBA. role and table ("SHOP"."ORDERS") are replaced as text.
-- ALL COLUMNS: with less, updates arrive without the unchanged columns, which would then be written as NULL.
ALTER TABLE ${table} ADD SUPPLEMENTAL LOG DATA (ALL) COLUMNS;
GRANT SELECT ON ${table} TO "${role}";

-- The initial snapshot reads the table as of one SCN.
GRANT FLASHBACK ON ${table} TO "${role}";
