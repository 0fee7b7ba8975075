-- The publication that the connector reads; run by the owner of the tables, who needs CREATE on the database.
-- tables is replaced by a list of quoted names: "public"."customers", "public"."orders". Later ones: ALTER PUBLICATION .. ADD TABLE ..
-- publish_via_partition_root: a row that moves between partitions stays one row of one topic.
CREATE PUBLICATION "${publication}" FOR TABLE ${tables} WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true);
