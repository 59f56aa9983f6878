-- Puts a signature on the newest revision.
-- KEYS  1 head (hash)  2 history (hash)
-- ARGV  1 id of the revision  2 its state  3 its number  4 its metadata (JSON)  5... fields and values of the head
-- Reply 1 signed, 0 the revision or its state is another one by now
local seen = redis.call('HMGET', KEYS[1], 'id', 'state')
if seen[1] ~= ARGV[1] or seen[2] ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
return 1
