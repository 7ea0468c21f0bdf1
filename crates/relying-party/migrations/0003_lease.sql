-- Whether a request holds the lease on the session, in order to refresh its tokens: 0 or 1.
ALTER TABLE rp_sessions RENAME COLUMN claimed TO leased;
