-- Goes up with every change of an app or its secrets. A refresh is a compare-and-set on it too, so that what a
-- replica remembers of an app can be old, but never counts when it is.
ALTER TABLE apps ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
