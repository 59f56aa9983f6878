-- Saves one revision whole, or nothing.
-- KEYS  1 flows (string)  2 credentials (string)  3 head (hash)  4 history (hash)  5 history content (hash)
-- ARGV  1 id of the revision that the saver had seen, '' for none
--       2 id of the new revision  3 its number  4 its metadata (JSON)
--       5 flows  6 credentials  7 archive  8 how many revisions the history keeps
--       9 update channel  10 message  11... fields and values of the head
-- Reply 1 saved (or saved before: a repeat), 0 someone else saved a newer one
local current = redis.call('HGET', KEYS[3], 'id')
if current == ARGV[2] then
  return 1
end
if (current or '') ~= ARGV[1] then
  return 0
end
-- A script is not rolled back, so whatever can be refused comes first: keys of a foreign type, ...
redis.call('HLEN', KEYS[4])
redis.call('HLEN', KEYS[5])
-- ... any write (the store is full), ...
redis.call('HSET', KEYS[5], ARGV[3], ARGV[7])
-- ... and the channel, by access rules. What was written until here nobody reads without the rest.
local announced = redis.pcall('PUBLISH', ARGV[9], ARGV[10])
if type(announced) == 'table' and announced.err then
  redis.call('HDEL', KEYS[5], ARGV[3])
  return announced
end
redis.call('HSET', KEYS[4], ARGV[3], ARGV[4])
-- A signature of the revision before vouches for nothing of this one, which may have none.
redis.call('HDEL', KEYS[3], 'credentialsSha256', 'signature', 'stateNumber', 'stateSignature')
redis.call('HSET', KEYS[3], unpack(ARGV, 11))
redis.call('SET', KEYS[2], ARGV[6])
redis.call('SET', KEYS[1], ARGV[5])
local oldest = tonumber(ARGV[3]) - tonumber(ARGV[8])
for _, number in ipairs(redis.call('HKEYS', KEYS[4])) do
  -- Numbers above the newest stem from a time that the store lost.
  if tonumber(number) <= oldest or tonumber(number) > tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[4], number)
    redis.call('HDEL', KEYS[5], number)
  end
end
return 1
