-- Marks the store's memory where it has no mark, and reads the mark.
-- KEYS  1 mark (string)
-- ARGV  1 a new id
-- Reply the mark
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
