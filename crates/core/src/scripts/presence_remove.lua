-- Gives up a place among the members, if it is still the instance's own.
-- KEYS  1 presence (string)  2 members (set)
-- ARGV  1 id that is unique to the instance  2 name in the set of members
-- Reply 1 removed, 0 it was not the instance's
local current = redis.call('GET', KEYS[1])
if not current or not string.find(current, ARGV[1], 1, true) then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[2])
return 1
