DROP TABLE event_streams;
DELETE FROM end_consumers WHERE name = 'security_events';
