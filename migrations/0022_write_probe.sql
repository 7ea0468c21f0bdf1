-- One row, which servers change to find out whether the database can be written to.
CREATE TABLE write_probe (writes BIGINT NOT NULL);
INSERT INTO write_probe (writes) VALUES (0);
