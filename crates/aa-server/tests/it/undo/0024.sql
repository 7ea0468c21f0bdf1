DROP TABLE end_consumers;
