-- Starts or stops the flows of one revision, signed.
-- KEYS  1 head (hash)
-- ARGV  1 id of the revision  2 signature of the state that was seen
--       3 state ('start' or 'stop')  4 its number  5 its signature  6 update channel  7 message
-- Reply 1 changed (or changed before: a repeat), 0 the revision or its state is another one by now
local seen = redis.call('HMGET', KEYS[1], 'id', 'stateSignature')
if seen[1] ~= ARGV[1] then
  return 0
end
if seen[2] == ARGV[5] then
  return 1
end
if (seen[2] or '') ~= ARGV[2] then
  return 0
end
redis.call('PUBLISH', ARGV[6], ARGV[7])
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'stateNumber', ARGV[4], 'stateSignature', ARGV[5])
return 1
