UPDATE clients SET metadata = REPLACE(metadata, '"multiple_sessions"', '"several_families"');
