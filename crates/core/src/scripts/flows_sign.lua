-- Puts a signature on the newest revision.
-- KEYS  1 head (hash)  2 history (hash)
-- ARGV  1 id of the revision  2 its state  3 the signature of that, '' for any  4 number of the revision
--       5 its metadata (JSON)  6... fields and values of the head
-- Reply 1 signed, 0 the revision or its state is another one by now
local seen = redis.call('HMGET', KEYS[1], 'id', 'state', 'stateSignature')
if seen[1] ~= ARGV[1] or seen[2] ~= ARGV[2] then
  return 0
end
if ARGV[3] ~= '' and seen[3] ~= ARGV[3] then
  return 0
end
redis.call('HSET', KEYS[2], ARGV[4], ARGV[5])
redis.call('HSET', KEYS[1], unpack(ARGV, 6))
return 1
