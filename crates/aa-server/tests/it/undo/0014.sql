UPDATE clients SET metadata = REPLACE(metadata, '"always_refresh":', '"delegation":"code","always_refresh":');
