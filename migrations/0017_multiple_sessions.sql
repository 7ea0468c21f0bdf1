-- The metadata of clients in today's words.
UPDATE clients SET metadata = REPLACE(metadata, '"several_families"', '"multiple_sessions"');
