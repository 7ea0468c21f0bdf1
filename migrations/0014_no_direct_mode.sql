-- The launcher opens every app by third-party initiated login.
UPDATE clients SET metadata = REPLACE(REPLACE(metadata, '"delegation":"code",', ''), '"delegation":"direct",', '');
