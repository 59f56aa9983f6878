-- Deletes some of a scope's properties; called again until none is left.
-- KEYS  1 the scope's names (zset)  2 scopes (set)
-- ARGV  1 what the keys of the values begin with  2 how many properties at most
--       3 the scope, to be forgotten when it is empty, or '' to remember it
--       4 id of the revision that must still be the newest, or '' for any
--       5 key of the newest revision (hash): no declared key, because it is read only, and access rules ask for
--         the right to write declared ones
-- Reply how many properties are left, or -1 if the newest revision is another one
if ARGV[4] ~= '' and redis.call('HGET', ARGV[5], 'id') ~= ARGV[4] then
  return -1
end
local names = redis.call('ZRANGE', KEYS[1], 0, ARGV[2] - 1)
for _, name in ipairs(names) do
  redis.call('UNLINK', ARGV[1] .. name)
  redis.call('ZREM', KEYS[1], name)
end
local left = redis.call('ZCARD', KEYS[1])
if left == 0 and ARGV[3] ~= '' then
  redis.call('SREM', KEYS[2], ARGV[3])
end
return left
